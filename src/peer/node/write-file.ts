/**
 * Files that appear when all of them is on disk, or not at all. For folders with one writer: what a crash leaves of a
 * draft is written over by the next.
 *
 * @module
 */
import { open, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileRefusal } from './file-refusal.ts';

/** For its owner alone. */
const PRIVATE = 0o600;

/** @param write hands the bytes to `put`, piece by piece. @throws {Fault} FILE_REFUSED if the disk is full */
export async function writePieces(
  path: string,
  write: (put: (bytes: Uint8Array | string) => Promise<void>) => Promise<void>,
  mode = 0o644,
): Promise<void> {
  /** A file that is open does not name itself. */
  const refuse = (error: unknown): never => {
    throw fileRefusal(error, path) ?? error;
  };
  const draft = join(path, '..', `.${basename(path)}.part`);
  const file = await open(draft, 'w', mode);
  try {
    if (mode === PRIVATE) await file.chmod(mode); // what a crash left may be less private
    // On its way through a thread that writes, what the system says loses its code: it is given it here.
    await write((bytes) => file.writeFile(bytes).catch(refuse));
    await file.sync().catch(refuse);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  await rename(draft, path);
}

/** Replaces a file as a whole. */
export const writeWhole = (path: string, data: string | Uint8Array, mode?: number): Promise<void> =>
  writePieces(path, (put) => put(data), mode);
