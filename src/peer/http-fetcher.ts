/**
 * Fetches from a host over HTTP, in Node and in browsers.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { BlobRef } from '../nouns.ts';
import { concatBytes, fromHex } from '../numeric/bytes.ts';
import type { Fetcher } from './fetcher.ts';

/** Not an octet for this long, and the request is given up. A line may be as slow as it likes. */
const SILENCE_MS = 30_000;
/** One request of a download: a broken connection loses at most this. */
const PART_BYTES = 8 << 20;

/** What a host answered, and what gives it up. */
interface Answer {
  readonly response: Response;
  /** Waits for something of it, as long as one may be silent. */
  awaiting<T>(what: Promise<T>): Promise<T>;
}

/** @param files `JoinLink.files` */
export function httpFetcher(
  files: string,
  fetch: typeof globalThis.fetch = globalThis.fetch,
  silenceMs: number = SILENCE_MS,
): Fetcher {
  async function get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    const abort = new AbortController();
    const awaiting: Answer['awaiting'] = (what) => {
      const timer = setTimeout(() => abort.abort(), silenceMs);
      return what.finally(() => clearTimeout(timer));
    };
    try {
      return { response: await awaiting(fetch(`${files}/${path}`, { headers, signal: abort.signal })), awaiting };
    } catch (cause) {
      throw new Fault('HOST_UNREACHABLE', `${path} could not be fetched; is the host running?`, { cause });
    }
  }
  /** @param pieces takes what comes: it is there even if the answer breaks off. */
  async function body({ response, awaiting }: Answer, path: string, pieces: Uint8Array[] = []): Promise<Uint8Array> {
    try {
      const reader = response.body!.getReader();
      for (;;) {
        const { done, value } = await awaiting(reader.read());
        if (done) return concatBytes(...pieces);
        pieces.push(value);
      }
    } catch (cause) {
      throw new Fault('DOWNLOAD_FAILED', `${path} broke off`, { cause });
    }
  }
  /** An answer that breaks off is asked for again from there, as long as something comes each time. */
  async function goingOn(path: string, ask: (done: number) => Promise<Answer>): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (let done = 0; ; ) {
      try {
        return await body(await ask(done), path, pieces);
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
      const round = Number(response.headers.get('murmur-round'));
      const root = fromHex(response.headers.get('murmur-root') ?? '');
      return { round, root, read: () => body(answer, path) };
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
