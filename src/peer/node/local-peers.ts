/**
 * Peers of this machine as processes of their own, started by the host and ended with it.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
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
  /** Replicas that share them, if it is not to choose. */
  readonly workers?: number | undefined;
  readonly offloadFolder?: string | undefined;
  /** Certificate of the host, where it has one. */
  readonly tlsCa?: string | undefined;
  /** Path of a JSON file, hash → path, so that files of this machine are not sent over the network. */
  readonly files: string | undefined;
  /** Folder to cache fetched files in, if not that of the user. */
  readonly cache?: string;
  /** A peer ended before it was told to. */
  readonly onExit: (peer: LocalPeer, code: number | null, signal: NodeJS.Signals | null) => void;
}

/**
 * Starts `name`. It hears that its parent is gone when the channel between them closes, so that none is left behind;
 * Ctrl+C does not reach it, since the host decides when the run ends.
 */
export function startLocalPeer(
  name: string,
  { link, folder, key, threads, workers, offloadFolder, tlsCa, files, cache, onExit }: LocalPeerOptions,
): LocalPeer {
  const home = join(folder, 'peers');
  mkdirSync(home, { recursive: true });
  const log = openSync(join(home, `${name}.log`), 'a');
  const args = ['join', link, '--name', name, '--key', key, '--threads', String(threads), '--json'];
  if (workers !== undefined) args.push('--workers', String(workers));
  if (tlsCa) args.push('--tls_ca', tlsCa);
  if (files) args.push('--files', files);
  if (offloadFolder) args.push('--offload_folder', offloadFolder);
  const child = spawn(process.execPath, [COMMAND, ...args], {
    stdio: ['ignore', log, log, 'ipc'],
    detached: true,
    env: cache ? { ...process.env, XDG_CACHE_HOME: cache } : process.env,
  });
  closeSync(log);
  const peer = { name, process: child };
  child.once('exit', (code, signal) => onExit(peer, code, signal));
  child.once('error', () => onExit(peer, null, null)); // it could not be started
  return peer;
}

/** For a peer to finish what it is doing. */
const GRACE_MS = 10_000;

/**
 * Waits for peers to end: by themselves, as they do when a run is done, or because the host closes its channel to them;
 * by force if neither helps.
 */
export async function endLocalPeers(peers: Iterable<LocalPeer>, { done }: { readonly done: boolean }): Promise<void> {
  await Promise.all(
    [...peers].map(async ({ process: child }) => {
      if (done && (await endsWithin(child, GRACE_MS))) return;
      if (child.connected) child.disconnect();
      if (await endsWithin(child, GRACE_MS)) return;
      child.kill('SIGKILL');
      await endsWithin(child, GRACE_MS);
    }),
  );
}

function endsWithin(child: ChildProcess, ms: number): Promise<boolean> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve(true);
  return new Promise((resolve) => {
    const ended = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    const timer = setTimeout(() => {
      child.off('exit', ended);
      resolve(false);
    }, ms);
    child.once('exit', ended);
  });
}
