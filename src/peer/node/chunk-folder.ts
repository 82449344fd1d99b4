/**
 * Chunks as files of a folder, each named by its hash. One process writes it.
 *
 * @module
 */
import { type FileHandle, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChunkStore } from '../../ports.ts';

const NAME = /^[0-9a-f]{64}$/;

/** The folder is made if need be. A file that was not synced may be torn after a crash: nobody was told of it then. */
export async function chunkFolder(folder: string): Promise<ChunkStore> {
  await mkdir(folder, { recursive: true });
  const known = new Set((await readdir(folder)).filter((name) => NAME.test(name)));
  /** Written, and perhaps not on stable storage. */
  const unsynced = new Map<string, FileHandle>();

  async function settle(hash: string, file: FileHandle, sync: boolean): Promise<void> {
    unsynced.delete(hash);
    try {
      if (sync) await file.sync();
    } finally {
      await file.close();
    }
  }

  return {
    get: async (hash) => (known.has(hash) ? new Uint8Array(await readFile(join(folder, hash))) : undefined),
    has: (hash) => known.has(hash),
    async put(hash, bytes) {
      if (known.has(hash)) return;
      const file = await open(join(folder, hash), 'w');
      await file.writeFile(bytes);
      unsynced.set(hash, file);
      known.add(hash);
    },
    async drop(hash) {
      known.delete(hash);
      const file = unsynced.get(hash);
      if (file) await settle(hash, file, false);
      await rm(join(folder, hash), { force: true });
    },
    // Side by side: a file system then writes its own journal once for all.
    sync: async () => void (await Promise.all([...unsynced].map(([hash, file]) => settle(hash, file, true)))),
  };
}
