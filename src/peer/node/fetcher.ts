/**
 * Files of a host that are kept on this machine, once they are whole.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault } from '../../faults.ts';
import type { BlobRef } from '../../nouns.ts';
import type { Fetcher } from '../fetcher.ts';
import { partsOf } from '../http-fetcher.ts';
import { fileRefusal } from './file-refusal.ts';

/**
 * Brings a file to `path`, in parts, going on where an earlier attempt broke off (`path.part`).
 *
 * @param progress bytes of the file that are there.
 * @throws {Fault} BLOB_MISMATCH if what came does not have the hash; then nothing is kept. DOWNLOAD_FAILED. FILE_REFUSED
 */
export async function downloadBlob(
  fetcher: Fetcher,
  { sha256, bytes }: Pick<BlobRef, 'sha256' | 'bytes'>,
  path: string,
  progress: (bytes: number) => void = () => undefined,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.part`;
  const file = await open(part, 'a+');
  try {
    let at = (await file.stat()).size;
    if (at > bytes) await file.truncate((at = 0));
    for await (const piece of partsOf(fetcher, { sha256, bytes }, at)) {
      await file.appendFile(piece);
      at += piece.length;
      progress(at);
    }
    if ((await hashOf(file)) !== sha256) {
      await file.truncate(0);
      throw new Fault('BLOB_MISMATCH', `a file from the host does not have the hash ${sha256}; try again`);
    }
    await file.sync();
  } catch (error) {
    throw fileRefusal(error, path) ?? error; // a file that is open does not name itself
  } finally {
    await file.close();
  }
  await rename(part, path);
}

async function hashOf(file: FileHandle): Promise<string> {
  const hash = createHash('sha256');
  const buffer = new Uint8Array(1 << 20);
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
}
