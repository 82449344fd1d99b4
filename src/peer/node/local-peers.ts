/**
 * Peers of this machine as processes of their own, started by the host and ended with it.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const COMMAND = fileURLToPath(new URL('../../../bin/murmur.js', import.meta.url));

export interface LocalPeer {
  readonly name: string;
  readonly process: ChildProcess;
}

export interface LocalPeerOptions {
  readonly link: string;
  /** Where logs go: `output_dir`. */
  readonly folder: string;
  /** File of its key. */
  readonly key: string;
  /** Threads each computes with. */
  readonly threads: number;
  /** Path of a JSON file, hash → path, so that files of this machine are not sent over the network. */
  readonly files: string;
  /** A peer ended before it was told to. */
  readonly onExit: (peer: LocalPeer, code: number | null, signal: NodeJS.Signals | null) => void;
}

/**
 * Starts `name`. It hears that its parent is gone when the channel between them closes, so that none is left behind;
 * Ctrl+C does not reach it, since the host decides when the run ends.
 */
export function startLocalPeer(
  name: string,
  { link, folder, key, threads, files, onExit }: LocalPeerOptions,
): LocalPeer {
  const home = join(folder, 'peers');
  mkdirSync(home, { recursive: true });
  const log = openSync(join(home, `${name}.log`), 'a');
  const args = ['join', link, '--name', name, '--key', key, '--files', files, '--threads', String(threads), '--json'];
  const child = spawn(process.execPath, [COMMAND, ...args], { stdio: ['ignore', log, log, 'ipc'], detached: true });
  const peer = { name, process: child };
  child.once('exit', (code, signal) => onExit(peer, code, signal));
  return peer;
}

/** For the other side to finish what it is doing. */
const GRACE_MS = 5_000;

/** Waits for peers to leave by themselves, as they do when a run is done; then ends those that did not. */
export async function endLocalPeers(peers: Iterable<LocalPeer>): Promise<void> {
  await Promise.all(
    [...peers].map(
      ({ process: child }) =>
        new Promise<void>((resolve) => {
          if (child.exitCode !== null || child.signalCode !== null) return resolve();
          const timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
          child.once('exit', () => {
            clearTimeout(timer);
            resolve();
          });
          if (child.connected) child.disconnect();
        }),
    ),
  );
}
