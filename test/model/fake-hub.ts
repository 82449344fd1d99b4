/** A Hub in memory: the two requests that are made of it, and what can go wrong with them. */
import { createHash } from 'node:crypto';

export const COMMIT = 'c0ffee'.padEnd(40, '0');

export interface Served {
  readonly url: string;
  readonly range: string | null;
  readonly authorization: string | null;
}

export interface Mishaps {
  /** No answer to the next requests. */
  offline?: number;
  /** The next answers with a file end in an error after so many bytes. */
  cutAfter?: number[];
  /** Status and `x-error-code` of every answer. */
  refuse?: { status: number; code?: string };
  /** Files answered with other bytes of the same length. */
  corrupt?: Set<string>;
  ignoreRange?: boolean;
}

export interface FakeHub {
  readonly fetch: typeof fetch;
  readonly served: Served[];
  readonly mishaps: Mishaps;
}

const git = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** In chunks, and broken off if asked. */
function stream(bytes: Uint8Array, cut = Number.POSITIVE_INFINITY): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= cut) return controller.error(new TypeError('terminated'));
      if (at >= bytes.length) return controller.close();
      const end = Math.min(at + 1000, bytes.length, cut);
      controller.enqueue(bytes.subarray(at, end));
      at = end;
    },
  });
}

/** @param files of the model; safetensors are listed as LFS files. */
export function fakeHub(id: string, files: Readonly<Record<string, Uint8Array>>): FakeHub {
  const served: Served[] = [];
  const mishaps: Mishaps = {};
  const siblings = Object.entries(files).map(([rfilename, bytes]) => ({
    rfilename,
    size: bytes.length,
    blobId: git(bytes),
    ...(rfilename.endsWith('.safetensors')
      ? { lfs: { sha256: sha256(bytes), size: bytes.length, pointerSize: 134 } }
      : {}),
  }));
  const answer: typeof fetch = async (input, init) => {
    const url = new URL(String(input));
    const headers = new Headers(init?.headers);
    const range = headers.get('range');
    init?.signal?.throwIfAborted();
    served.push({ url: url.pathname, range, authorization: headers.get('authorization') });
    if (mishaps.offline && mishaps.offline-- > 0) throw new TypeError('fetch failed');
    if (mishaps.refuse) {
      const { status, code } = mishaps.refuse;
      return new Response('no', { status, headers: code ? { 'x-error-code': code } : {} });
    }
    if (url.pathname.startsWith(`/api/models/${id}/revision/`)) return Response.json({ id, sha: COMMIT, siblings });
    const path = url.pathname.replace(`/${id}/resolve/${COMMIT}/`, '');
    const whole = files[path];
    if (!whole) return new Response('no', { status: 404, headers: { 'x-error-code': 'EntryNotFound' } });
    const content = mishaps.corrupt?.has(path) ? whole.map((byte) => byte ^ 1) : whole;
    const start = range && !mishaps.ignoreRange ? Number(/^bytes=(\d+)-$/.exec(range)![1]) : 0;
    if (start >= whole.length && start > 0) return new Response(null, { status: 416 });
    const part = { 'content-range': `bytes ${start}-${whole.length - 1}/${whole.length}` };
    return new Response(stream(content.subarray(start), mishaps.cutAfter?.shift()), {
      status: start > 0 ? 206 : 200,
      headers: start > 0 ? part : {},
    });
  };
  return { fetch: answer, served, mishaps };
}
