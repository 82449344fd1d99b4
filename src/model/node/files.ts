/**
 * Files as byte sources. Opened for each read and closed after it: shards are many, reads are large, and nothing is
 * left to release.
 *
 * @module
 */
import { open, stat } from 'node:fs/promises';
import { Fault } from '../../faults.ts';
import type { ByteSource } from '../source.ts';

/** @throws {Fault} FILE_MISSING, and MODEL_INVALID from `read` where the file has been cut short. */
export async function fileSource(path: string): Promise<ByteSource> {
  const found = await stat(path).catch((cause) => {
    throw new Fault('FILE_MISSING', `${path} cannot be read; check the path`, { cause });
  });
  return {
    name: path,
    size: found.size,
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      const file = await open(path, 'r');
      try {
        let done = 0;
        while (done < length) {
          const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
          if (bytesRead === 0) throw new Fault('MODEL_INVALID', `${path} ended early: it changed while it was read`);
          done += bytesRead;
        }
      } finally {
        await file.close();
      }
      return bytes;
    },
  };
}
