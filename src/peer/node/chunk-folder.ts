/**
 * Chunks as files of a folder, each named by its hash. One process writes it.
 *
 * @module
 */
import { type FileHandle, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { equalBytes } from '../../numeric/bytes.ts';
import type { ChunkStore } from '../../ports.ts';

const NAME = /^[0-9a-f]{64}$/;

/**
 * The folder is made if need be. A file that was not synced may be torn after a crash: nobody was told of it then, and
 * what is put again is compared with it.
 * @param wanted hashes that are still of use: files of others are removed. Default: all are.
 */
export async function chunkFolder(folder: string, wanted?: ReadonlySet<string>): Promise<ChunkStore> {
  await mkdir(folder, { recursive: true });
  const known = new Set((await readdir(folder)).filter((name) => NAME.test(name)));
  for (const name of known) {
    if (wanted?.has(name) ?? true) continue;
    known.delete(name);
    await rm(join(folder, name), { force: true });
  }
  /** Written by an earlier process, whole or not. */
  const inherited = new Set(known);
  const writing = new Map<string, Promise<void>>();
  /** Written, and perhaps not on stable storage. */
  const unsynced = new Map<string, FileHandle>();
  const syncing = new Map<string, Promise<void>>();

  async function write(hash: string, bytes: Uint8Array): Promise<void> {
    const path = join(folder, hash);
    const whole = inherited.delete(hash) && equalBytes(new Uint8Array(await readFile(path)), bytes);
    const file = await open(path, whole ? 'r+' : 'w');
    if (!whole) await file.writeFile(bytes);
    unsynced.set(hash, file);
    known.add(hash);
  }

  async function settle(hash: string, file: FileHandle, sync: boolean): Promise<void> {
    unsynced.delete(hash);
    try {
      if (sync) await file.sync();
    } finally {
      syncing.delete(hash);
      await file.close();
    }
  }

  return {
    get: async (hash) => (known.has(hash) ? new Uint8Array(await readFile(join(folder, hash))) : undefined),
    has: (hash) => known.has(hash),
    async put(hash, bytes) {
      // Two may put the same chunk at a time: peers whose vectors are alike.
      const begun = writing.get(hash);
      if (begun === undefined && known.has(hash) && !inherited.has(hash)) return;
      const written = begun ?? write(hash, bytes).finally(() => writing.delete(hash));
      writing.set(hash, written);
      await written;
    },
    async drop(hash) {
      await writing.get(hash);
      known.delete(hash);
      inherited.delete(hash);
      await syncing.get(hash);
      const file = unsynced.get(hash);
      if (file) await settle(hash, file, false);
      await rm(join(folder, hash), { force: true });
    },
    // Side by side: a file system then writes its own journal once for all. What another call has begun to sync is not
    // on stable storage yet.
    async sync() {
      for (const [hash, file] of unsynced) syncing.set(hash, settle(hash, file, true));
      await Promise.all(syncing.values());
    },
  };
}
