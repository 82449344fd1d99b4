/**
 * A store in a file, for one process at a time.
 *
 * @module
 */
import { type FileHandle, mkdir, open, readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Store } from '../../ports.ts';
import { fileRefusal } from './file-refusal.ts';
import { lockFile } from './lock.ts';

/** A name in a folder survives a crash once the folder is synced. Windows cannot and need not. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function openOrCreate(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const file = await open(path, 'wx+');
  await syncFolder(dirname(path));
  return file;
}

/** Creates the file, and its folder, where they are missing. @throws {Fault} JOURNAL_LOCKED */
export async function openFileStore(name: string): Promise<Store> {
  const path = resolve(name);
  await mkdir(dirname(path), { recursive: true });
  const release = await lockFile(path);
  let file: FileHandle;
  try {
    file = await openOrCreate(path);
  } catch (error) {
    await release();
    throw error;
  }
  let length = (await file.stat()).size;
  /** A file that is open no longer names itself. */
  const refuse = (error: unknown): never => {
    throw fileRefusal(error, path) ?? error;
  };

  return {
    name,
    read: () => readFile(path),
    async append(bytes) {
      let at = length;
      length += bytes.length; // before the first wait: the next append goes behind
      for (let rest = bytes; rest.length > 0; ) {
        const { bytesWritten } = await file.write(rest, 0, rest.length, at).catch(refuse);
        at += bytesWritten;
        rest = rest.subarray(bytesWritten);
      }
    },
    sync: () => file.datasync().catch(refuse),
    async truncate(to) {
      await file.truncate(to).catch(refuse);
      length = to;
    },
    async close() {
      await file.close();
      await release();
    },
  };
}
