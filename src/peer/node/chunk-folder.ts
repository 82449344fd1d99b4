/**
 * Chunks as files of a folder, each named by its hash. One process writes it.
 *
 * @module
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChunkStore } from '../../ports.ts';
import { writeWhole } from './write-file.ts';

const NAME = /^[0-9a-f]{64}$/;

/** The folder is made if need be. What `put` resolves to is on stable storage. */
export async function chunkFolder(folder: string): Promise<ChunkStore> {
  await mkdir(folder, { recursive: true });
  const known = new Set((await readdir(folder)).filter((name) => NAME.test(name)));
  return {
    get: async (hash) => (known.has(hash) ? new Uint8Array(await readFile(join(folder, hash))) : undefined),
    has: (hash) => known.has(hash),
    async put(hash, bytes) {
      if (!known.has(hash)) await writeWhole(join(folder, hash), bytes);
      known.add(hash);
    },
    async drop(hash) {
      known.delete(hash);
      await rm(join(folder, hash), { force: true });
    },
  };
}
