/**
 * Ed25519 seeds in files that only their owner can read. A key is who a peer is: the same file is the same peer.
 *
 * @module
 */
import { mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Fault } from '../../faults.ts';
import { fromHex, toHex } from '../../numeric/bytes.ts';
import { fileRefusal } from './file-refusal.ts';
import { lockFile } from './lock.ts';
import { systemEntropy } from './system.ts';
import { writeWhole } from './write-file.ts';

/** A new seed. */
export const newSecret = (): Uint8Array => systemEntropy(32);

/** A key that others can read may be theirs too. Windows has no such modes. @throws {Fault} FILE_REFUSED */
async function refuseShared(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const mode = (await stat(path)).mode & 0o777;
  if ((mode & 0o077) === 0) return;
  throw new Fault(
    'FILE_REFUSED',
    `${path} is a key that others on this machine can read (mode ${mode.toString(8)}); if none did, "chmod 600 ${path}", else delete it`,
  );
}

/** The seed of `path`; undefined if there is no such file. @throws {Fault} FILE_REFUSED, FILE_MISSING if it holds something else */
export async function readSecret(path: string): Promise<Uint8Array | undefined> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw fileRefusal(cause) ?? cause;
  });
  if (text === undefined) return undefined;
  if (!/^[0-9a-f]{64}\s*$/.test(text))
    throw new Fault(
      'FILE_MISSING',
      `${path} is no key of Murmur: it must hold 64 hexadecimal digits; name another file`,
    );
  await refuseShared(path);
  return fromHex(text.trim());
}

export async function writeSecret(path: string, secret: Uint8Array): Promise<void> {
  await mkdir(dirname(resolve(path)), { recursive: true });
  await writeWhole(path, `${toHex(secret)}\n`, 0o600);
}

/** Reads the seed of `path`, or makes one. @throws {Fault} FILE_MISSING if the file holds something else */
export async function secretOf(path: string): Promise<Uint8Array> {
  const known = await readSecret(path);
  if (known) return known;
  const secret = newSecret();
  await writeSecret(path, secret);
  return secret;
}

/** More peers on one machine than this want keys of their own choice. */
const MAX_KEYS = 64;

/**
 * The first identity of `folder` that no other process is using: `peer.key`, `peer-2.key`, …
 * @returns its seed; `release` lets others use it.
 */
export async function freeIdentity(folder: string): Promise<{ secret: Uint8Array; release: () => Promise<void> }> {
  await mkdir(folder, { recursive: true });
  for (let n = 1; n <= MAX_KEYS; n++) {
    const path = resolve(join(folder, n === 1 ? 'peer.key' : `peer-${n}.key`));
    try {
      const release = await lockFile(path);
      return { secret: await secretOf(path), release };
    } catch (error) {
      if (!(error instanceof Fault && error.code === 'JOURNAL_LOCKED')) throw error;
    }
  }
  throw new Fault('JOURNAL_LOCKED', `${MAX_KEYS} peers use keys of ${folder}; name another with --key`);
}
