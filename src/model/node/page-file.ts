/**
 * The file that offloaded weights lie in. It holds nothing that base and journal do not: it is made anew at every start,
 * and removed as soon as it is open where the system allows that, so that nothing is left behind.
 *
 * @module
 */
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../faults.ts';
import type { PageFile } from '../../ports.ts';

/** @param folder for the file: it should be on a fast disk. @throws {Fault} FILE_REFUSED */
export async function pageFile(folder: string): Promise<PageFile> {
  const refused = (cause: unknown) =>
    new Fault('FILE_REFUSED', `${folder} takes no file; name a folder that can be written to with --offload_folder`, {
      cause,
    });
  await mkdir(folder, { recursive: true }).catch((cause) => {
    throw refused(cause);
  });
  const own = await mkdtemp(join(folder, 'weights-')).catch((cause) => {
    throw refused(cause);
  });
  const file = await open(join(own, 'pages'), 'w+').catch((cause) => {
    throw refused(cause);
  });
  const unlink = () => rm(own, { recursive: true, force: true });
  if (process.platform !== 'win32') await unlink();

  return {
    async read(at, into) {
      for (let done = 0; done < into.length; ) {
        const { bytesRead } = await file.read(into, done, into.length - done, at + done);
        if (bytesRead === 0) throw new Fault('FILE_REFUSED', `${folder}: the file of the weights was cut short`);
        done += bytesRead;
      }
    },
    async write(at, from) {
      for (let done = 0; done < from.length; ) {
        const { bytesWritten } = await file.write(from, done, from.length - done, at + done).catch((cause) => {
          throw new Fault('FILE_REFUSED', `${folder} has no room for the weights; name another with --offload_folder`, {
            cause,
          });
        });
        done += bytesWritten;
      }
    },
    async close() {
      await file.close();
      await unlink();
    },
  };
}
