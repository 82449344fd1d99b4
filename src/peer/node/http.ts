/**
 * What a host serves besides the conversation, on the same port: its page, manifest, journal, files by hash, snapshot
 * and events. Every route holds a code, which is the only thing that guards it: the join code opens all of them, and so
 * does that of an invite; the view code, which follows from the join code, those marked with a star. Other people's pages may ask too, if they know a code (CORS).
 *
 *     GET  /join/<code>             the page, for browsers; a text for all others: how to take part
 *     GET  /view/<code>             the page, for those who may only look
 *     GET  /assets/<name>           what the page is made of
 *     GET  /<code>/manifest *       canonical JSON
 *     GET  /<code>/journal?from=n * the journal from byte n to its end
 *     GET  /<code>/status *         `RunStatus`
 *     GET  /<code>/metrics *        for Prometheus (`metrics.ts`)
 *     GET  /<code>/events *         server-sent events (`feed.ts`)
 *     GET  /<code>/blob/<sha256>    a file of the base or the data; Range requests resume
 *     GET  /<code>/snapshot/latest  what names its chunks, and who has them; 404 if there is none
 *     GET  /<code>/chunk/<name>     a chunk of a snapshot
 *     POST /<code>/mirror           a peer has the chunks too: `Announcement`
 *     POST /<code>/try *            a text → what the base and the tuned model make of it, where that is offered
 *
 * @module
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { Fault } from '../../faults.ts';
import type { Journal } from '../../journal/journal.ts';
import { encodeManifest } from '../../journal/manifest.ts';
import type { Hex } from '../../nouns.ts';
import { toUtf8 } from '../../numeric/text.ts';
import type { Crypto } from '../../ports.ts';
import { MAX_ANNOUNCEMENT_DIGITS } from '../../wire/snapshot-offer.ts';
import { type Admission, isCode, type Opens, oneCode } from '../admission.ts';
import type { RunStatus } from '../status.ts';
import { bodyOf } from './body.ts';
import type { Feed } from './feed.ts';
import { viewCode } from './link.ts';
import type { Metrics } from './metrics.ts';
import type { Page } from './page.ts';

/** Snapshots for those who join late. */
export interface SnapshotRoutes {
  /** Bytes of an `OfferedSnapshot`. @param asker address of whoever asks. */
  latest(asker: string): Uint8Array | undefined;
  chunk(name: Hex): Promise<Uint8Array | undefined>;
  /** @param text hexadecimal digits of an `Announcement`. @returns whether it was one. */
  announce(text: string | undefined, address: string): boolean;
}

/** A text, column by column, as `/try` takes it. */
export type Tried = Readonly<Record<string, string>>;

export interface HttpOptions {
  readonly joinCode: string;
  /** Other codes that open something. */
  readonly admission?: Pick<Admission, 'opens'>;
  readonly journal: Pick<Journal, 'read' | 'records'>;
  /** Hash → path of a file that peers may have. */
  readonly blobs: ReadonlyMap<Hex, string>;
  readonly snapshots?: SnapshotRoutes;
  readonly crypto: Pick<Crypto, 'sha256'>;
  readonly page?: Page | undefined;
  /** @param code by which who asks may join; undefined for those who may only look. */
  readonly status?: (code: string | undefined) => RunStatus;
  readonly feed?: Feed;
  readonly metrics?: Pick<Metrics, 'text'>;
  /** Hears of requests with a code that is not of this run, or does not open what was asked for. */
  readonly refused?: (fault: Fault) => void;
  /** What both models make of a text. */
  readonly tryOut?: (text: Tried) => Promise<unknown>;
}

export const NOT_FOUND = 'Nothing is here. Copy the whole join link.\n';
const TEXT = 'text/plain; charset=utf-8';
/** Longest text that `/try` reads, and how many may wait: each takes both models a moment. */
const MAX_TRIED_BYTES = 8192;
const MAX_TRIALS = 8;

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'content-range',
  'cross-origin-resource-policy': 'cross-origin',
} as const;

/** `code`: as `HttpOptions.status` has it. */
type Answer = (request: IncomingMessage, response: ServerResponse, url: URL, code: string | undefined) => unknown;

interface Route {
  readonly answer: Answer;
  /** Holders of the view code may have it too. */
  readonly viewers?: true;
  readonly method?: 'POST';
}

export function httpRoutes(options: HttpOptions): RequestListener {
  const { joinCode, journal, blobs, snapshots, crypto, page, status, feed, metrics, refused, tryOut } = options;
  const { opens: openedBy } = options.admission ?? oneCode(joinCode, crypto);
  const viewHash = crypto.sha256(toUtf8(viewCode(joinCode, crypto)));
  const opens = (code: string): Opens => openedBy(code) ?? (isCode(code, viewHash, crypto) ? 'view' : undefined);

  let trials = 0;

  const routes: Readonly<Record<string, Route>> = {
    manifest: {
      viewers: true,
      answer(_, response) {
        const first = journal.records[0]?.entry;
        if (first?.type === 'manifest') say(response, 200, 'application/json', encodeManifest(first.manifest));
        else notFound(response);
      },
    },
    journal: {
      viewers: true,
      async answer(_, response, url) {
        const bytes = await journal.read();
        const from = Number(url.searchParams.get('from') ?? 0);
        if (Number.isInteger(from) && from >= 0 && from <= bytes.length)
          say(response, 200, 'application/octet-stream', bytes.subarray(from));
        else say(response, 416, TEXT, `The journal has ${bytes.length} bytes.\n`);
      },
    },
    status: {
      viewers: true,
      answer(_, response, __, code) {
        if (status === undefined) notFound(response);
        else say(response, 200, 'application/json', JSON.stringify(status(code)));
      },
    },
    metrics: {
      viewers: true,
      async answer(_, response) {
        if (metrics === undefined) return notFound(response);
        const { type, body } = await metrics.text();
        say(response, 200, type, body);
      },
    },
    events: {
      viewers: true,
      answer(request, response, _, code) {
        if (feed === undefined) return notFound(response);
        response.writeHead(200, { ...CORS, 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
        if (request.method === 'HEAD' || !feed.watch(response, code)) response.end();
      },
    },
    blob: {
      async answer(request, response, url) {
        const path = blobs.get(url.pathname.split('/')[3] ?? '');
        if (path === undefined) notFound(response);
        else await sendFile(request, response, path);
      },
    },
    snapshot: {
      answer(request, response) {
        const offer = snapshots?.latest(request.socket.remoteAddress ?? '');
        if (offer === undefined) notFound(response);
        else say(response, 200, 'application/octet-stream', offer);
      },
    },
    chunk: {
      async answer(_, response, url) {
        const bytes = await snapshots?.chunk(url.pathname.split('/')[3] ?? '');
        if (bytes === undefined) notFound(response);
        else say(response, 200, 'application/octet-stream', bytes);
      },
    },
    mirror: {
      method: 'POST',
      async answer(request, response) {
        const address = request.socket.remoteAddress ?? '';
        const known = snapshots?.announce(await bodyOf(request, MAX_ANNOUNCEMENT_DIGITS), address);
        say(response, known ? 200 : 422, TEXT, known ? 'Thanks.\n' : 'A member of the run says this, signed.\n');
      },
    },
    try: {
      viewers: true,
      method: 'POST',
      async answer(request, response) {
        if (tryOut === undefined) return void notFound(response);
        // A page of another origin cannot send this type without asking first, and here nobody answers it.
        if (request.headers['content-type'] !== 'application/json') return say(response, 415, TEXT, 'JSON only.\n');
        const tried = parseTried(await bodyOf(request, MAX_TRIED_BYTES));
        if (tried === undefined) return say(response, 413, TEXT, `An object of texts, ${MAX_TRIED_BYTES} bytes.\n`);
        if (trials >= MAX_TRIALS) return say(response, 503, TEXT, 'Others are trying texts; try again in a moment.\n');
        trials++;
        await tryOut(tried)
          .then(
            (value) => say(response, 200, 'application/json', JSON.stringify(value)),
            (error) => {
              if (!(error instanceof Fault)) throw error;
              say(response, 422, 'application/json', JSON.stringify({ code: error.code, detail: error.detail }));
            },
          )
          .finally(() => {
            trials--;
          });
      },
    },
  };

  function linked(first: 'join' | 'view', code: string, request: IncomingMessage, response: ServerResponse): unknown {
    if (page && (first === 'view' || /\btext\/html\b/.test(request.headers.accept ?? '')))
      return page.index(request, response).catch(() => response.destroy());
    const scheme = 'encrypted' in request.socket ? 'https' : 'http';
    const link = `${scheme}://${request.headers.host ?? 'HOST:PORT'}/join/${code}`;
    return first === 'join' ? say(response, 200, TEXT, joinText(link)) : say(response, 200, TEXT, VIEW_TEXT);
  }

  return (request, response) => {
    const { method } = request;
    const asked = request.url ?? '/';
    if (!URL.canParse(asked, 'http://host')) return notFound(response); // `//` is no path
    const url = new URL(asked, 'http://host');
    const [, first = '', second = ''] = url.pathname.split('/');
    const looks = method === 'GET' || method === 'HEAD';
    if (looks && hasBody(request)) return notAllowed(response);
    if ((first === 'join' || first === 'view') && opens(second) === first)
      return void (looks ? linked(first, second, request, response) : notAllowed(response));
    if (first === 'assets' && looks && page?.asset(second, request, response)) return undefined;
    const route = Object.hasOwn(routes, second) ? routes[second] : undefined;
    const right = opens(first);
    const guarded = route !== undefined || first === 'join' || first === 'view';
    if (route === undefined || !(right === 'join' || (right === 'view' && route.viewers))) {
      if (guarded) refused?.(wrongCode(request, route ? second : `the ${first} page`));
      return looks ? notFound(response) : notAllowed(response);
    }
    if (method === 'OPTIONS' && route.method === undefined)
      return void response.writeHead(204, { ...CORS, 'access-control-allow-headers': 'range' }).end();
    if (route.method === 'POST' ? method !== 'POST' : !looks) return notAllowed(response);
    // A peer that hangs up, a file that vanished: the answer breaks off, and the client knows from its length.
    return void Promise.resolve(route.answer(request, response, url, right === 'join' ? first : undefined)).catch(() =>
      response.destroy(),
    );
  };
}

function say(response: ServerResponse, status: number, type: string, body: string | Uint8Array): void {
  const headers = { ...CORS, 'content-type': type, 'content-length': Buffer.byteLength(body) };
  response.writeHead(status, { ...headers, 'cache-control': 'no-store' }).end(body);
}

/** Whoever reads of it can tell the address to a firewall; what was guessed is none of his business. */
const wrongCode = ({ socket }: IncomingMessage, what: string): Fault =>
  new Fault('CODE_WRONG', `${socket.remoteAddress ?? 'somebody'} asked for ${what} with a code that does not open it`);

const notFound = (response: ServerResponse): void => say(response, 404, TEXT, NOT_FOUND);
/** The connection ends with it, and with it whatever else was to be sent here. */
const notAllowed = (response: ServerResponse): void => void response.writeHead(405, { connection: 'close' }).end();

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

function parseTried(body: string | undefined): Tried | undefined {
  try {
    const value: unknown = JSON.parse(body ?? '');
    const isTried =
      typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string');
    return isTried ? (value as Tried) : undefined;
  } catch {
    return undefined;
  }
}

const VIEW_TEXT = 'This is a Murmur run. Its page was not built here: run "npm run build" in the package.\n';

const joinText = (link: string): string =>
  `This is a Murmur run: several machines train one language model together.\nTo take part, run\n\n    npx murmur join ${link}\n\n`;

/** Whole, or the one range that was asked for. */
async function sendFile(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  const { size } = await stat(path);
  const common = { ...CORS, 'content-type': 'application/octet-stream', 'accept-ranges': 'bytes' };
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
