/**
 * One file of the Hub to disk: resumed where it was cut, verified, and only then given its name.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault } from '../../faults.ts';
import { type HubAccess, interruption, type RemoteFile, request } from '../hub.ts';

/** Waits before another attempt, in ms; they start over whenever bytes have arrived. */
export const RETRY_MS: readonly number[] = [500, 1000, 2000, 4000];

export interface DownloadAccess extends HubAccess {
  readonly sleep: (ms: number) => Promise<void>;
}

const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(() => undefined))?.size ?? 0;

async function digestOf(path: string, { bytes, digest }: RemoteFile): Promise<string> {
  const hash = createHash(digest.algorithm === 'git' ? 'sha1' : 'sha256');
  if (digest.algorithm === 'git') hash.update(`blob ${bytes}\0`);
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}

/** Runs `attempt` again while the network fails. @param progress grows when an attempt got anywhere */
export async function retried<T>(
  { sleep }: Pick<DownloadAccess, 'sleep'>,
  attempt: () => Promise<T>,
  progress: () => Promise<number> = async () => 0,
): Promise<T> {
  let reached = await progress();
  for (let failures = 0; ; ) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'DOWNLOAD_FAILED') throw error;
      const now = await progress();
      failures = now > reached ? 1 : failures + 1;
      reached = Math.max(reached, now);
      const wait = RETRY_MS[failures - 1];
      if (wait === undefined) throw error;
      await sleep(wait);
    }
  }
}

/** Asks for what `part` lacks and writes it there. */
async function fetchRest(
  id: string,
  file: RemoteFile,
  part: string,
  access: DownloadAccess,
  arrived: (bytes: number) => void,
): Promise<void> {
  const what = `${id}: ${file.path}`;
  let at = await sizeOf(part);
  if (at > file.bytes) {
    await rm(part, { force: true });
    at = 0;
  }
  // Written by position, never appended: two processes that fetch the same file write the same bytes to the same places.
  const handle = await open(part, constants.O_RDWR | constants.O_CREAT);
  try {
    arrived(at);
    if (at === file.bytes) return;
    const response = await request(access, id, file.url, what, at > 0 ? { range: `bytes=${at}-` } : {});
    const resumed = response.status === 206 && response.headers.get('content-range')?.startsWith(`bytes ${at}-`);
    if (!resumed) at = 0;
    if (response.status === 416 || (response.status === 206 && !resumed) || !response.body) {
      await response.body?.cancel().catch(() => undefined);
      await handle.truncate(0);
      throw new Fault('DOWNLOAD_FAILED', `${what}: the Hub does not resume it; starting over`);
    }
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read().catch((cause) => {
        throw interruption(access, what, 'the connection was cut; check the network', cause);
      });
      if (done) break;
      if (at + value.length > file.bytes) {
        await reader.cancel().catch(() => undefined);
        await handle.truncate(0);
        throw new Fault('DOWNLOAD_FAILED', `${what}: longer than the ${file.bytes} bytes that the Hub named`);
      }
      await handle.write(value, 0, value.length, at);
      at += value.length;
      arrived(at);
    }
    if (at < file.bytes) throw new Fault('DOWNLOAD_FAILED', `${what}: cut after ${at} of ${file.bytes} bytes`);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * @param id of the model, for messages. @param path to store at; a file there is complete, and kept.
 * @param arrived bytes of the file on disk so far.
 * @throws {Fault} HUB_REFUSED, DOWNLOAD_FAILED, INTERRUPTED
 */
export async function downloadFile(
  id: string,
  file: RemoteFile,
  path: string,
  access: DownloadAccess,
  arrived: (bytes: number) => void = () => undefined,
): Promise<void> {
  if (await stat(path).catch(() => undefined)) return arrived(file.bytes);
  const part = `${path}.part`;
  await mkdir(dirname(path), { recursive: true });
  for (;;) {
    const old = await sizeOf(part);
    await retried(
      access,
      () => fetchRest(id, file, part, access, arrived),
      () => sizeOf(part),
    );
    if ((await digestOf(part, file)) === file.digest.hex) break;
    await rm(part, { force: true });
    // What an earlier run left may be to blame, once.
    if (old === 0)
      throw new Fault('DOWNLOAD_FAILED', `${id}: ${file.path} does not have the hash that the Hub names; try again`);
  }
  await rename(part, path).catch(async (cause) => {
    if (!(await stat(path).catch(() => undefined))) throw cause; // another process was first
  });
}
