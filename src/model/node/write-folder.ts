/**
 * A folder of files that appears whole or not at all.
 *
 * @module
 */
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Fault } from '../../faults.ts';
import type { ExportFile } from '../export.ts';

/** Folders that this process began: two of one name may be written at a time. */
let begun = 0;

/** @throws {Fault} OUTPUT_EXISTS */
export async function writeFolder(folder: string, files: readonly ExportFile[]): Promise<void> {
  const target = resolve(folder);
  if (await stat(target).catch(() => undefined))
    throw new Fault('OUTPUT_EXISTS', `${folder} exists; name a folder that does not`);
  const part = `${target}.${process.pid}.${++begun}.part`;
  try {
    await mkdir(part, { recursive: true });
    for (const { path, chunks } of files) {
      const file = join(part, path);
      await mkdir(dirname(file), { recursive: true });
      const handle = await open(file, 'w');
      try {
        for await (const chunk of chunks()) await handle.writeFile(chunk);
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
    await rename(part, target);
  } catch (error) {
    await rm(part, { recursive: true, force: true });
    throw error;
  }
}
