/**
 * What a host serves besides the conversation, on the same port: its manifest, journal, files by hash and snapshot.
 * Every route holds the join code, which is the only thing that guards them.
 *
 *     GET /join/<code>            a text for people: how to take part
 *     GET /<code>/manifest        canonical JSON
 *     GET /<code>/journal?from=n  the journal from byte n to its end
 *     GET /<code>/blob/<sha256>   a file of the base or the data; Range requests resume
 *     GET /<code>/snapshot/latest weights; headers murmur-round and murmur-root; 404 if there is none
 *
 * @module
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Journal } from '../../journal/journal.ts';
import { encodeManifest } from '../../journal/manifest.ts';
import type { Hex } from '../../nouns.ts';
import { toUtf8 } from '../../numeric/text.ts';
import type { Crypto } from '../../ports.ts';
import { equalSlowly } from '../door.ts';

export interface Snapshot {
  readonly round: number;
  readonly root: Hex;
  readonly path: string;
}

export interface HttpOptions {
  readonly joinCode: string;
  readonly journal: Pick<Journal, 'read' | 'records'>;
  /** Hash → path of a file that peers may have. */
  readonly blobs: ReadonlyMap<Hex, string>;
  readonly snapshot?: () => Snapshot | undefined;
  readonly crypto: Pick<Crypto, 'sha256'>;
}

const NOT_FOUND = 'Nothing is here. Copy the whole join link.\n';

export function httpRoutes({ joinCode, journal, blobs, snapshot, crypto }: HttpOptions): RequestListener {
  const codeHash = crypto.sha256(toUtf8(joinCode));
  const isCode = (text: string): boolean => equalSlowly(crypto.sha256(toUtf8(text)), codeHash);

  const say = (response: ServerResponse, status: number, type: string, body: string | Uint8Array): void => {
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
    response.end(body);
  };
  const notFound = (response: ServerResponse): void => say(response, 404, 'text/plain; charset=utf-8', NOT_FOUND);

  const routes: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse, url: URL) => unknown>> = {
    manifest(_, response) {
      const first = journal.records[0]?.entry;
      if (first?.type === 'manifest') say(response, 200, 'application/json', encodeManifest(first.manifest));
      else notFound(response);
    },
    async journal(_, response, url) {
      const bytes = await journal.read();
      const from = Number(url.searchParams.get('from') ?? 0);
      if (Number.isInteger(from) && from >= 0 && from <= bytes.length)
        say(response, 200, 'application/octet-stream', bytes.subarray(from));
      else say(response, 416, 'text/plain; charset=utf-8', `The journal has ${bytes.length} bytes.\n`);
    },
    async blob(request, response, url) {
      const path = blobs.get(url.pathname.split('/')[3] ?? '');
      if (path === undefined) notFound(response);
      else await sendFile(request, response, path, {});
    },
    async snapshot(request, response) {
      const latest = snapshot?.();
      if (latest === undefined) notFound(response);
      else await sendFile(request, response, latest.path, { 'murmur-round': latest.round, 'murmur-root': latest.root });
    },
  };

  return (request, response) => {
    const url = new URL(request.url ?? '/', 'http://host');
    const [, first = '', second = ''] = url.pathname.split('/');
    if (request.method !== 'GET' && request.method !== 'HEAD') return void response.writeHead(405).end();
    if (first === 'join' && isCode(second)) {
      const link = `http://${request.headers.host ?? 'HOST:PORT'}/join/${joinCode}`;
      return say(response, 200, 'text/plain; charset=utf-8', joinText(link));
    }
    const route = Object.hasOwn(routes, second) ? routes[second] : undefined;
    if (route === undefined || !isCode(first)) return notFound(response);
    // A peer that hangs up, a file that vanished: the answer breaks off, and the client knows from its length.
    Promise.resolve(route(request, response, url)).catch(() => response.destroy());
  };
}

const joinText = (link: string): string =>
  `This is a Murmur run: several machines train one language model together.\nTo take part, run\n\n    npx murmur join ${link}\n\n`;

/** Whole, or the one range that was asked for. */
async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  headers: Record<string, string | number>,
): Promise<void> {
  const { size } = await stat(path);
  const common = { ...headers, 'content-type': 'application/octet-stream', 'accept-ranges': 'bytes' };
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = range === null ? 0 : Number(range[1]);
  const end = range === null || range[2] === '' ? size : Math.min(size, Number(range[2]) + 1);
  if (range !== null && (start >= size || start >= end)) {
    response.writeHead(416, { ...common, 'content-range': `bytes */${size}` }).end();
    return;
  }
  const partial = range === null ? {} : { 'content-range': `bytes ${start}-${end - 1}/${size}` };
  response.writeHead(range === null ? 200 : 206, { ...common, ...partial, 'content-length': end - start });
  if (request.method === 'HEAD' || end === start) response.end();
  else await pipeline(createReadStream(path, { start, end: end - 1 }), response);
}
