/**
 * Fetches from a host over HTTP, in Node and in browsers.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { BlobRef } from '../nouns.ts';
import { concatBytes } from '../numeric/bytes.ts';
import { LEAF_ELEMENTS } from '../numeric/merkle.ts';
import { decodeSnapshotOffer } from '../wire/snapshot-offer.ts';
import { CHUNK_LEAVES } from './chunks.ts';
import type { ChunkSource, Fetcher } from './fetcher.ts';

/** Not an octet for this long, and the request is given up. A line may be as slow as it likes. */
const SILENCE_MS = 30_000;
/** One request of a download: a broken connection loses at most this. */
const PART_BYTES = 8 << 20;
/** A chunk is no longer, whoever sends it. */
const MAX_CHUNK_BYTES = 4 * LEAF_ELEMENTS * CHUNK_LEAVES;

/** What a host answered, and what gives it up. */
interface Answer {
  readonly response: Response;
  /** Waits for something of it, as long as one may be silent. */
  awaiting<T>(what: Promise<T>): Promise<T>;
}

type Fetch = typeof globalThis.fetch;

/** Sends a request. @param base of its address; @param path below it. @throws {Fault} HOST_UNREACHABLE */
type Request = (base: string, path: string, how?: Pick<RequestInit, 'headers' | 'redirect'>) => Promise<Answer>;

const requester =
  (fetch: Fetch, silenceMs: number): Request =>
  async (base, path, how = {}) => {
    const abort = new AbortController();
    const awaiting: Answer['awaiting'] = (what) => {
      const timer = setTimeout(() => abort.abort(), silenceMs);
      return what.finally(() => clearTimeout(timer));
    };
    try {
      return { response: await awaiting(fetch(`${base}/${path}`, { ...how, signal: abort.signal })), awaiting };
    } catch (cause) {
      throw new Fault('HOST_UNREACHABLE', `${path} could not be fetched; is the host running?`, { cause });
    }
  };

/**
 * @param most bytes that it may have. @param pieces takes what comes: it is there even if the answer breaks off.
 * @throws {Fault} DOWNLOAD_FAILED
 */
async function body(
  { response, awaiting }: Answer,
  path: string,
  most = Number.POSITIVE_INFINITY,
  pieces: Uint8Array[] = [],
): Promise<Uint8Array> {
  let length = 0;
  try {
    const reader = response.body!.getReader();
    for (;;) {
      const { done, value } = await awaiting(reader.read());
      if (done) return concatBytes(...pieces);
      pieces.push(value);
      length += value.length;
      if (length > most) break;
    }
    await reader.cancel();
  } catch (cause) {
    throw new Fault('DOWNLOAD_FAILED', `${path} broke off`, { cause });
  }
  throw new Fault('DOWNLOAD_FAILED', `${path} is longer than ${most} bytes`);
}

/** An answer that breaks off is asked for again from there, as long as something comes each time. */
async function goingOn(path: string, ask: (done: number) => Promise<Answer>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (let done = 0; ; ) {
    try {
      return await body(await ask(done), path, Number.POSITIVE_INFINITY, pieces);
    } catch (error) {
      const now = pieces.reduce((sum, { length }) => sum + length, 0);
      if (now === done) throw error;
      done = now;
    }
  }
}

const refuse = ({ response: { status } }: Answer, path: string): never => {
  throw new Fault('DOWNLOAD_FAILED', `the host answered ${status} to ${path}`);
};

/** @param base address of whoever has the chunks, with the code. */
const chunkSource = (base: string, name: string, request: Request): ChunkSource => ({
  name,
  async chunk(hash) {
    const path = `chunk/${hash}`;
    const answer = await request(base, path, { redirect: 'error' }); // a mirror is not to choose whom we ask
    return answer.response.ok ? body(answer, path, MAX_CHUNK_BYTES) : refuse(answer, path);
  },
});

/** @param files `JoinLink.files` */
export function httpFetcher(files: string, fetch: Fetch = globalThis.fetch, silenceMs: number = SILENCE_MS): Fetcher {
  const request = requester(fetch, silenceMs);
  const get = (path: string, headers: Record<string, string> = {}): Promise<Answer> =>
    request(files, path, { headers });
  /** Mirrors are guarded by the same one. */
  const code = files.slice(files.lastIndexOf('/') + 1);

  return {
    async journal(from) {
      return goingOn('journal', async (done) => {
        const path = `journal?from=${from + done}`;
        const answer = await get(path);
        if (answer.response.status === 416)
          throw new Fault(
            'JOURNAL_FORKED',
            `the host's journal ends before byte ${from + done}, which it had sent; do not trust this run`,
          );
        return answer.response.ok ? answer : refuse(answer, path);
      });
    },
    async blob(sha256, from, length) {
      const path = `blob/${sha256}`;
      return goingOn(path, async (done) => {
        const answer = await get(path, { range: `bytes=${from + done}-${from + length - 1}` });
        return answer.response.status === 206 ? answer : refuse(answer, path);
      });
    },
    async snapshot() {
      const path = 'snapshot/latest';
      const answer = await get(path);
      const { response } = answer;
      if (response.status === 404) return undefined;
      if (!response.ok) refuse(answer, path);
      const { round, leaves, sums, mirrors, standing } = decodeSnapshotOffer(await body(answer, path));
      if (leaves.length === 0) throw new Fault('DOWNLOAD_FAILED', 'the host offers a snapshot of nothing');
      const others = mirrors.map((authority) => chunkSource(`http://${authority}/${code}`, authority, request));
      const sources = [chunkSource(files, 'the host', request), ...others] as const;
      return {
        ...{ round, leaves, sources },
        ...(sums.length > 0 ? { sums } : {}),
        ...(standing.length > 0 ? { standing } : {}),
      };
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
