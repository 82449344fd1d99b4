/**
 * The built page (`dist/web`) as it is served. The files are listed once, when a host starts: a request is looked up in
 * that list, so no path that a client makes up leads anywhere.
 *
 * @module
 */
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

/** What the page may do: itself, WebAssembly, workers. No other origin, no inline script, no frame around it. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "worker-src 'self' blob:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Isolated from other origins: only then do browsers give threads. */
const HEADERS = {
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};

/** Files up to this size are kept in memory, compressed too. */
const SMALL = 1 << 20;

interface Asset {
  readonly path: string;
  readonly bytes: number;
  readonly type: string;
  readonly cache: string;
  /** A small one as it is, and compressed; read when somebody asks for it first. */
  held?: Promise<{ readonly plain: Uint8Array; readonly gzip: Uint8Array }>;
}

export interface Page {
  /** Answers with the page itself. */
  index(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Answers with `/assets/<name>` if there is such a file. @returns whether there is. */
  asset(name: string, request: IncomingMessage, response: ServerResponse): boolean;
}

/** Where the build puts the page, beside the compiled package; seen from src/ as from dist/. */
export const PAGE_FOLDER: string = fileURLToPath(new URL('../../../dist/web', import.meta.url));
/** And the library for browsers: what both are made of, the runtime, lies there alone. */
const LIBRARY_FOLDER: string = fileURLToPath(new URL('../../../dist/browser', import.meta.url));

/** Undefined where the page was not built: a host serves everything else all the same. */
export async function openPage(folder: string = PAGE_FOLDER): Promise<Page | undefined> {
  const index = await open(join(folder, 'index.html'), 'no-store').catch(() => undefined);
  if (index === undefined) return undefined;
  const assets = new Map<string, Asset>();
  for (const own of [LIBRARY_FOLDER, folder].map((each) => join(each, 'assets')))
    for (const name of await readdir(own).catch(() => []))
      assets.set(name, await open(join(own, name), 'public, max-age=31536000, immutable'));
  return {
    index: (request, response) => send(index, request, response),
    asset(name, request, response) {
      const asset = assets.get(name);
      // A file that vanished: the answer breaks off, and the browser asks again.
      if (asset) send(asset, request, response).catch(() => response.destroy());
      return asset !== undefined;
    },
  };
}

async function open(path: string, cache: string): Promise<Asset> {
  const { size } = await stat(path);
  const type = TYPES[extname(path)] ?? 'application/octet-stream';
  return { path, bytes: size, type, cache };
}

async function hold(path: string): Promise<{ readonly plain: Uint8Array; readonly gzip: Uint8Array }> {
  const plain = await readFile(path);
  return { plain, gzip: await promisify(gzip)(plain) };
}

async function send(asset: Asset, { method, headers }: IncomingMessage, response: ServerResponse): Promise<void> {
  const { path, bytes, type, cache } = asset;
  if (bytes <= SMALL) asset.held ??= hold(path);
  const held = await asset.held;
  const zipped = held !== undefined && /\bgzip\b/.test(String(headers['accept-encoding'] ?? ''));
  const body = zipped ? held.gzip : held?.plain;
  response.writeHead(200, {
    ...HEADERS,
    'content-type': type,
    'content-length': body?.length ?? bytes,
    'cache-control': cache,
    vary: 'accept-encoding, accept',
    ...(zipped ? { 'content-encoding': 'gzip' } : {}),
  });
  if (method === 'HEAD') response.end();
  else if (body) response.end(body);
  else await pipeline(createReadStream(path), response);
}
