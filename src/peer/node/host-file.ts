/**
 * Where the host of a folder listens, for other commands on this machine. Gone when the host is.
 *
 * @module
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from './write-file.ts';

export const HOST_FILE = 'host.json';

/** @param addresses as `dialable` gives them. @returns removes the file. */
export async function writeAddresses(folder: string, addresses: readonly string[]): Promise<() => Promise<void>> {
  const path = join(folder, HOST_FILE);
  await writeWhole(path, `${JSON.stringify({ addresses })}\n`);
  return () => rm(path, { force: true });
}

/** None where no host is running, or the file is damaged. */
export async function readAddresses(folder: string): Promise<readonly string[]> {
  const text = await readFile(join(folder, HOST_FILE), 'utf8').catch(() => '');
  try {
    const { addresses } = JSON.parse(text) as { addresses?: unknown };
    return Array.isArray(addresses) ? addresses.filter((address) => typeof address === 'string') : [];
  } catch {
    return [];
  }
}
