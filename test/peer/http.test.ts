import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { Fault } from '../../src/faults.ts';
import { encodeManifest } from '../../src/journal/manifest.ts';
import { leafHash } from '../../src/numeric/merkle.ts';
import { chunksOf, isChunk } from '../../src/peer/chunks.ts';
import { httpFetcher } from '../../src/peer/http-fetcher.ts';
import { joinLink, parseJoinLink } from '../../src/peer/link.ts';
import type { Mirrors } from '../../src/peer/mirrors.ts';
import { downloadBlob } from '../../src/peer/node/fetcher.ts';
import { httpRoutes, type SnapshotRoutes } from '../../src/peer/node/http.ts';
import { dialable, viewCode, viewLink } from '../../src/peer/node/link.ts';
import { openPage } from '../../src/peer/node/page.ts';
import { snapshotRoutes, snapshotShelf } from '../../src/peer/node/snapshot-shelf.ts';
import type { RunStatus } from '../../src/peer/status.ts';
import { begunJournal, fakeCrypto, MANIFEST } from './fake.ts';

const CODE = 'k3y_-x';
const VIEW = viewCode(CODE, fakeCrypto);
const SCRIPT = `console.log(${JSON.stringify('murmur '.repeat(100))});`;
const STATUS: RunStatus = {
  ...{ kind: 'live', may: [], phase: 'measuring', round: 3, max_steps: 9, journal_bytes: 100, weights: 8, peers: [] },
  bytes: { payload: 0, wire: 0 },
};
let tryOut: (text: Readonly<Record<string, string>>) => Promise<unknown> = async (text) => text;
const content = new Uint8Array(randomBytes(20_000_000));
const hash = createHash('sha256').update(content).digest('hex');
let shelf = snapshotShelf();
const announced: string[] = [];
const mirrors: Mirrors = {
  announce: (json, address) => announced.push(`${json} ${address}`) > 0,
  of: (round) => [`10.0.0.${round}:7800`],
};
/** Of the present shelf. */
const snapshots: SnapshotRoutes = {
  latest: (asker) => snapshotRoutes(shelf, mirrors).latest(asker),
  chunk: (name) => shelf.chunk(name),
  announce: mirrors.announce,
};
let folder: string;
let server: Server;
let origin: string;
let journalBytes: Uint8Array;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'murmur-'));
  await writeFile(join(folder, 'blob'), content);
  await writeFile(join(folder, 'empty'), '');
  const journal = await begunJournal();
  journalBytes = await journal.read();
  const blobs = new Map([
    [hash, join(folder, 'blob')],
    ['00'.repeat(32), join(folder, 'empty')],
    ['ee'.repeat(32), join(folder, 'vanished')],
  ]);
  await mkdir(join(folder, 'web', 'assets'), { recursive: true });
  await writeFile(join(folder, 'web', 'index.html'), '<!doctype html><title>Murmur</title>');
  await writeFile(join(folder, 'web', 'assets', 'a-1.js'), SCRIPT);
  await writeFile(join(folder, 'web', 'secret'), 'not for you');
  server = createServer(
    httpRoutes({
      ...{ joinCode: CODE, journal, blobs, snapshots, crypto: fakeCrypto },
      page: await openPage(join(folder, 'web')),
      status: (joiner) => ({ ...STATUS, may: joiner ? ['join'] : [] }),
      tryOut: (text) => tryOut(text),
    }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

describe('routes', () => {
  test.each([
    '/',
    '/wrong/manifest',
    '/join/wrong',
    `/${CODE}`,
    `/${CODE}/nothing`,
    `/${CODE}/toString`,
    `/${CODE}/blob/${'12'.repeat(32)}`,
    `/${CODE}/blob/..%2f..%2fetc%2fpasswd`,
    `/${CODE}/snapshot/latest`,
  ])('%s is not there', async (path) => {
    expect((await fetch(origin + path)).status).toBe(404);
  });

  test('only GET and HEAD', async () => {
    expect((await fetch(`${origin}/${CODE}/manifest`, { method: 'POST' })).status).toBe(405);
  });

  test('the join page says how to join, with the address that was asked', async () => {
    const text = await (await fetch(`${origin}/join/${CODE}`)).text();
    expect(text).toContain(`npx murmur join ${origin}/join/${CODE}`);
  });

  test('the manifest, as in the journal', async () => {
    const bytes = new Uint8Array(await (await fetch(`${origin}/${CODE}/manifest`)).arrayBuffer());
    expect(bytes).toEqual(encodeManifest(MANIFEST));
  });

  test.each([
    ['bytes=5-9', 206, [5, 10]],
    ['bytes=19999990-', 206, [19_999_990, 20_000_000]],
    ['bytes=19999990-99999999', 206, [19_999_990, 20_000_000]],
    ['bytes=20000000-', 416, undefined],
    ['bytes=9-5', 416, undefined],
    ['lines=1-2', 200, [0, 20_000_000]],
  ] as const)('range %s', async (range, status, slice) => {
    const response = await fetch(`${origin}/${CODE}/blob/${hash}`, { headers: { range } });
    expect(response.status).toBe(status);
    const body = Buffer.from(await response.arrayBuffer());
    if (slice !== undefined) expect(Buffer.compare(body, content.subarray(...slice))).toBe(0);
  });

  test('a file that vanished breaks off one answer and nothing else', async () => {
    await expect(fetch(`${origin}/${CODE}/blob/${'ee'.repeat(32)}`)).rejects.toThrow();
    expect((await fetch(`${origin}/${CODE}/manifest`)).status).toBe(200);
  });
});

describe('the page', () => {
  const html = { accept: 'text/html,application/xhtml+xml' };

  test('is what a browser gets at the join link and at the view link; others get the text', async () => {
    for (const path of [`/join/${CODE}`, `/view/${VIEW}`]) {
      const response = await fetch(origin + path, { headers: html });
      expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(await response.text()).toContain('<title>Murmur</title>');
    }
    const text = await fetch(`${origin}/join/${CODE}`);
    expect(text.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  });

  test('may load nothing of others, be in no frame, and is isolated, so that it may have threads', async () => {
    const { headers } = await fetch(`${origin}/join/${CODE}`, { headers: html });
    const policy = headers.get('content-security-policy')!;
    expect(policy).toMatch(/^default-src 'none';/);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/https?:|\*|'unsafe-(inline|eval)'/);
    expect(headers.get('cross-origin-opener-policy')).toBe('same-origin');
    expect(headers.get('cross-origin-embedder-policy')).toBe('require-corp');
  });

  test('an asset is kept for good, compressed where that is understood, and HEAD has its length', async () => {
    const response = await fetch(`${origin}/assets/a-1.js`);
    expect(await response.text()).toBe(SCRIPT);
    expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(response.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    const plain = await fetch(`${origin}/assets/a-1.js`, {
      method: 'HEAD',
      headers: { 'accept-encoding': 'identity' },
    });
    expect(plain.headers.get('content-length')).toBe(String(SCRIPT.length));
    expect(plain.headers.get('content-encoding')).toBeNull();
    const zipped = await fetch(`${origin}/assets/a-1.js`, { headers: { 'accept-encoding': 'gzip' } });
    expect(Number(zipped.headers.get('content-length'))).toBeLessThan(SCRIPT.length);
  });

  test.each([
    ...['/assets/', '/assets/none.js', '/assets/..%2fsecret', '/assets/..%2findex.html', '/assets/%2e%2e/secret'],
    ...[
      '/assets/../secret',
      '/assets/./a-1.js/../../secret',
      '/view/wrong',
      `/view/${CODE}`,
      `/join/${VIEW}`,
      '//',
      '/%',
    ],
  ])('%s is not there', async (path) => {
    // As it stands: fetch would put the path in order first.
    expect(await rawStatus(path)).toBe(404);
  });

  test('without a built page the rest is there all the same', async () => {
    expect(await openPage(join(folder, 'nowhere'))).toBeUndefined();
  });
});

/** The status of a request whose path goes out as it is. */
const rawStatus = (path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    request({ ...new URL(origin), host: '127.0.0.1', port: new URL(origin).port, path }, (response) => {
      response.resume();
      resolve(response.statusCode!);
    })
      .on('error', reject)
      .end();
  });

describe('those who may only look', () => {
  test('have manifest, journal and status, and no file of the model or the data', async () => {
    for (const path of ['manifest', 'journal', 'status'])
      expect((await fetch(`${origin}/${VIEW}/${path}`)).status, path).toBe(200);
    for (const path of [`blob/${hash}`, 'snapshot/latest', `chunk/${hash}`])
      expect((await fetch(`${origin}/${VIEW}/${path}`)).status, path).toBe(404);
  });

  test('are told so by the status', async () => {
    expect(await (await fetch(`${origin}/${VIEW}/status`)).json()).toMatchObject({ may: [], round: 3 });
    expect(await (await fetch(`${origin}/${CODE}/status`)).json()).toMatchObject({ may: ['join'], round: 3 });
  });

  test('have a link that does not show the join code', () => {
    expect(viewLink(`http://10.0.0.7:1/join/${CODE}`, fakeCrypto)).toBe(`http://10.0.0.7:1/view/${VIEW}`);
    expect(VIEW).toMatch(/^[0-9a-f]{32}$/);
    expect(viewCode('another', fakeCrypto)).not.toBe(VIEW);
  });
});

describe("other people's pages", () => {
  test('may read what a code opens, headers included', async () => {
    for (const path of ['manifest', 'journal', 'status', `blob/${hash}`]) {
      const { headers } = await fetch(`${origin}/${CODE}/${path}`, { method: 'HEAD' });
      expect(headers.get('access-control-allow-origin'), path).toBe('*');
      expect(headers.get('cross-origin-resource-policy'), path).toBe('cross-origin');
    }
    const asked = await fetch(`${origin}/${CODE}/blob/${hash}`, { method: 'OPTIONS' });
    expect([asked.status, asked.headers.get('access-control-allow-headers')]).toEqual([204, 'range']);
  });

  test('may not have texts tried: nobody answers their question whether they may', async () => {
    expect((await fetch(`${origin}/${CODE}/try`, { method: 'OPTIONS' })).status).toBe(405);
    const simple = await fetch(`${origin}/${CODE}/try`, { method: 'POST', body: '{"text":"a"}' });
    expect(simple.status).toBe(415);
  });
});

describe('a text to try', () => {
  const post = (body: string) =>
    fetch(`${origin}/${VIEW}/try`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });

  test('comes back as what the models made of it', async () => {
    tryOut = async ({ text }) => ({ prompt: `${text}!` });
    expect(await (await post('{"text":"soup"}')).json()).toEqual({ prompt: 'soup!' });
    expect((await fetch(`${origin}/${VIEW}/try`)).status).toBe(405);
  });

  test('is refused when it is too long, or no text', async () => {
    for (const body of [JSON.stringify({ text: 'x'.repeat(9000) }), '{"text":1}', '[', 'null'])
      expect((await post(body)).status, body.slice(0, 20)).toBe(413);
  });

  test('a refusal of the models comes with its words', async () => {
    tryOut = () => Promise.reject(new Fault('DATA_INVALID', 'the text: has no column "text"'));
    const response = await post('{"other":"a"}');
    expect([response.status, await response.json()]).toEqual([
      422,
      { code: 'DATA_INVALID', detail: 'the text: has no column "text"' },
    ]);
  });

  test('no more than eight wait at a time', async () => {
    const waiting: (() => void)[] = [];
    tryOut = () => new Promise((resolve) => waiting.push(() => resolve({})));
    const first = Array.from({ length: 8 }, () => post('{}'));
    await vi.waitFor(() => expect(waiting).toHaveLength(8));
    expect((await post('{}')).status).toBe(503);
    for (const go of waiting) go();
    for (const response of first) expect((await response).status).toBe(200);
    tryOut = async () => ({});
    expect((await post('{}')).status).toBe(200);
  });
});

describe('fetcher', () => {
  test('the journal, whole, its tail, nothing, and refused beyond its end', async () => {
    const fetcher = httpFetcher(`${origin}/${CODE}`);
    expect(await fetcher.journal(0)).toEqual(journalBytes);
    expect(await fetcher.journal(100)).toEqual(journalBytes.subarray(100));
    expect(await fetcher.journal(journalBytes.length)).toHaveLength(0);
    await expect(fetcher.journal(journalBytes.length + 1)).rejects.toMatchObject({ code: 'JOURNAL_FORKED' });
  });

  test('the snapshot, if there is one, chunk by chunk, and who else has them', async () => {
    const fetcher = httpFetcher(`${origin}/${CODE}`);
    shelf = snapshotShelf();
    expect(await fetcher.snapshot()).toBeUndefined();
    const bytes = [262_144, 262_144, 262_144, 262_144, 1000];
    let at = 0;
    const leaves = bytes.map((length) => {
      at += length;
      return { hash: leafHash(content.subarray(at - length, at), fakeCrypto.sha256), bytes: length };
    });
    const standing = Uint8Array.of(1, 2, 3);
    shelf.put({ round: 12, leaves, path: join(folder, 'blob') }, standing);
    const offer = (await fetcher.snapshot())!;
    expect(offer).toMatchObject({ round: 12, leaves, standing });
    expect(offer.sources.map(({ name }) => name)).toEqual(['the host', '10.0.0.12:7800']);
    const chunks = chunksOf(leaves, fakeCrypto.sha256);
    expect(chunks.map(({ bytes: length }) => length)).toEqual([2 ** 20, 1000]);
    for (const chunk of chunks)
      expect(isChunk(chunk, await offer.sources[0].chunk(chunk.name), fakeCrypto.sha256)).toBe(true);
    await expect(offer.sources[0].chunk('ab'.repeat(32))).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
  });

  test('a peer says that it has the chunks, at the address that it came from', async () => {
    const told = await fetch(`${origin}/${CODE}/mirror`, { method: 'POST', body: '{}' });
    expect(told.status).toBe(200);
    expect(announced).toEqual(['{} 127.0.0.1']);
    expect((await fetch(`${origin}/${VIEW}/mirror`, { method: 'POST', body: '{}' })).status).toBe(405);
  });

  test('a host that is not there, or that refuses', async () => {
    await expect(httpFetcher('http://127.0.0.1:1/x').journal(0)).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
    await expect(httpFetcher(`${origin}/wrong`).journal(0)).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
  });
});

describe('a line that is slow', () => {
  /** Gives eight octets, one at a time. @param gapMs before each. */
  async function trickling(gapMs: number): Promise<string> {
    const slow = createServer((_, response) => {
      let left = 8;
      const give = (): void => {
        response.write('.');
        if (--left > 0) setTimeout(give, gapMs);
        else response.end();
      };
      setTimeout(give, gapMs);
    });
    onTestFinished(() => {
      slow.closeAllConnections();
      slow.close();
    });
    await new Promise<void>((listening) => slow.listen(0, '127.0.0.1', listening));
    return `http://127.0.0.1:${(slow.address() as AddressInfo).port}`;
  }

  test('may take as long as it takes', async () => {
    const fetcher = httpFetcher(await trickling(100), fetch, 400);
    expect(await fetcher.journal(0)).toHaveLength(8);
  });

  test('and is given up when it is silent', async () => {
    const fetcher = httpFetcher(await trickling(5000), fetch, 200);
    await expect(fetcher.journal(0)).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
  });
});

describe('an answer that breaks off', () => {
  /** Answers break off after `each` bytes. @param asked is told of each request. */
  const breaking =
    (each: number, asked: unknown[]): typeof fetch =>
    async (input, init) => {
      asked.push(new Headers(init?.headers).get('range') ?? String(input).split('?')[1]);
      const answer = await fetch(input, init);
      const bytes = new Uint8Array(await answer.arrayBuffer());
      if (bytes.length <= each) return new Response(bytes, answer);
      const body = new ReadableStream<Uint8Array>({
        start: (stream) => (each > 0 ? stream.enqueue(bytes.subarray(0, each)) : stream.error(new TypeError('cut'))),
        pull: (stream) => stream.error(new TypeError('cut')),
      });
      return new Response(body, { status: answer.status, headers: answer.headers });
    };

  test('is asked for again from there', async () => {
    const asked: unknown[] = [];
    const fetcher = httpFetcher(`${origin}/${CODE}`, breaking(400, asked));
    expect(Buffer.compare(await fetcher.blob(hash, 1000, 1000), content.subarray(1000, 2000))).toBe(0);
    expect(asked.splice(0)).toEqual(['bytes=1000-1999', 'bytes=1400-1999', 'bytes=1800-1999']);
    expect(await fetcher.journal(8)).toEqual(journalBytes.slice(8));
    const parts = Math.ceil((journalBytes.length - 8) / 400);
    expect(asked).toEqual(Array.from({ length: parts }, (_, i) => `from=${8 + 400 * i}`));
    expect(parts).toBeGreaterThan(1);
  });

  test('is given up when nothing comes of it', async () => {
    const asked: unknown[] = [];
    const fetcher = httpFetcher(`${origin}/${CODE}`, breaking(0, asked));
    await expect(fetcher.journal(0)).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
    expect(asked).toEqual(['from=0']);
  });
});

describe('download', () => {
  const reference = { sha256: hash, bytes: content.length };

  test('goes on where it broke off, and says how far it is', async () => {
    const path = join(folder, 'a', 'b', 'copy');
    const fetcher = httpFetcher(`${origin}/${CODE}`);
    let calls = 0;
    const brittle = {
      ...fetcher,
      blob: (...args: Parameters<typeof fetcher.blob>) =>
        ++calls === 2 ? Promise.reject(new TypeError('line cut')) : fetcher.blob(...args),
    };
    const seen: number[] = [];
    await expect(downloadBlob(brittle, reference, path, (at) => seen.push(at))).rejects.toThrow('line cut');
    await expect(stat(path)).rejects.toThrow();
    await downloadBlob(brittle, reference, path, (at) => seen.push(at));
    expect(calls).toBe(4); // three parts, one of them twice
    expect(seen).toEqual([8_388_608, 16_777_216, 20_000_000]);
    expect(Buffer.compare(await readFile(path), content)).toBe(0);
  });

  test('keeps nothing that has another hash', async () => {
    const path = join(folder, 'other');
    const lying = {
      ...httpFetcher(`${origin}/${CODE}`),
      blob: async (_: string, __: number, n: number) => new Uint8Array(n),
    };
    await expect(downloadBlob(lying, reference, path)).rejects.toMatchObject({ code: 'BLOB_MISMATCH' });
    await expect(stat(path)).rejects.toThrow();
    await downloadBlob(httpFetcher(`${origin}/${CODE}`), reference, path);
    expect((await stat(path)).size).toBe(content.length);
  });

  test('a file of no bytes', async () => {
    const sha256 = createHash('sha256').digest('hex');
    await downloadBlob(httpFetcher(`${origin}/${CODE}`), { sha256, bytes: 0 }, join(folder, 'nothing'));
    expect((await stat(join(folder, 'nothing'))).size).toBe(0);
  });
});

describe('the join link', () => {
  test('there and back', () => {
    const link = joinLink('ws://10.0.0.7:4711', CODE);
    expect(link).toBe(`http://10.0.0.7:4711/join/${CODE}`);
    expect(parseJoinLink(link)).toEqual({
      address: 'ws://10.0.0.7:4711',
      files: `http://10.0.0.7:4711/${CODE}`,
      joinCode: CODE,
    });
    expect(parseJoinLink('https://run.example/join/abc').address).toBe('wss://run.example');
  });

  test('a host that listens everywhere is dialled at its own addresses, this machine first', () => {
    const at = (address: string, internal = false) => ({
      ...{ address, internal, netmask: '', mac: '', cidr: null },
      family: 'IPv4' as const,
    });
    const interfaces = { lo: [at('127.0.0.1', true)], eth0: [at('192.0.2.7')], wifi: [at('198.51.100.3')] };
    const three = ['ws://127.0.0.1:77', 'ws://192.0.2.7:77', 'ws://198.51.100.3:77'];
    expect(dialable('ws://0.0.0.0:77', interfaces)).toEqual(three);
    expect(dialable('ws://[::]:77', interfaces)).toEqual(three);
    expect(dialable('ws://192.0.2.9:77', interfaces)).toEqual(['ws://192.0.2.9:77']);
  });

  test.each(['', 'run', 'http://x', 'http://x/join/', 'http://x/join/a/b', 'ftp://x/join/a', 'http://x/abc'])(
    '%j is none',
    (link) => {
      expect(() => parseJoinLink(link)).toThrow('CONFIG_INVALID');
    },
  );
});
