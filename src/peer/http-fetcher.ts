/**
 * Fetches from a host over HTTP, in Node and in browsers.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { BlobRef } from '../nouns.ts';
import { fromHex } from '../numeric/bytes.ts';
import type { Fetcher } from './fetcher.ts';

/** No answer for this long, and the request is given up. */
const ANSWER_MS = 30_000;
/** One request of a download: a broken connection loses at most this. */
const PART_BYTES = 8 << 20;

/** @param files `JoinLink.files` */
export function httpFetcher(files: string, fetch: typeof globalThis.fetch = globalThis.fetch): Fetcher {
  async function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(`${files}/${path}`, { headers, signal: AbortSignal.timeout(ANSWER_MS) });
    } catch (cause) {
      throw new Fault('HOST_UNREACHABLE', `${path} could not be fetched; is the host running?`, { cause });
    }
    return response;
  }
  async function body(response: Response, path: string): Promise<Uint8Array> {
    try {
      return new Uint8Array(await response.arrayBuffer());
    } catch (cause) {
      throw new Fault('DOWNLOAD_FAILED', `${path} broke off`, { cause });
    }
  }
  const refuse = ({ status }: Response, path: string): never => {
    throw new Fault('DOWNLOAD_FAILED', `the host answered ${status} to ${path}`);
  };

  return {
    async journal(from) {
      const path = `journal?from=${from}`;
      const response = await get(path);
      if (response.status === 416)
        throw new Fault(
          'JOURNAL_FORKED',
          `the host's journal ends before byte ${from}, which it had sent; do not trust this run`,
        );
      return response.ok ? body(response, path) : refuse(response, path);
    },
    async blob(sha256, from, length) {
      const path = `blob/${sha256}`;
      const response = await get(path, { range: `bytes=${from}-${from + length - 1}` });
      return response.status === 206 ? body(response, path) : refuse(response, path);
    },
    async snapshot() {
      const path = 'snapshot/latest';
      const response = await get(path);
      if (response.status === 404) return undefined;
      if (!response.ok) refuse(response, path);
      const round = Number(response.headers.get('murmur-round'));
      const root = fromHex(response.headers.get('murmur-root') ?? '');
      return { round, root, read: () => body(response, path) };
    },
  };
}

/**
 * A file from byte `at` to its end, in parts. They are not verified.
 * @throws {Fault} DOWNLOAD_FAILED
 */
export async function* partsOf(
  fetcher: Fetcher,
  { sha256, bytes }: Pick<BlobRef, 'sha256' | 'bytes'>,
  at: number,
): AsyncIterable<Uint8Array> {
  while (at < bytes) {
    const piece = await fetcher.blob(sha256, at, Math.min(PART_BYTES, bytes - at));
    if (piece.length === 0 || at + piece.length > bytes)
      throw new Fault('DOWNLOAD_FAILED', `the host sent ${piece.length} bytes too many or none of ${sha256}`);
    yield piece;
    at += piece.length;
  }
}
