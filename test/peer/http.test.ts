import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeManifest } from '../../src/journal/manifest.ts';
import { toHex } from '../../src/numeric/bytes.ts';
import { httpFetcher } from '../../src/peer/http-fetcher.ts';
import { joinLink, parseJoinLink } from '../../src/peer/link.ts';
import { downloadBlob } from '../../src/peer/node/fetcher.ts';
import { httpRoutes, type Snapshot } from '../../src/peer/node/http.ts';
import { dialable } from '../../src/peer/node/link.ts';
import { begunJournal, fakeCrypto, MANIFEST } from './fake.ts';

const CODE = 'k3y_-x';
const content = new Uint8Array(randomBytes(20_000_000));
const hash = createHash('sha256').update(content).digest('hex');
let snapshot: Snapshot | undefined;
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
  server = createServer(httpRoutes({ joinCode: CODE, journal, blobs, snapshot: () => snapshot, crypto: fakeCrypto }));
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
    snapshot = undefined;
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

describe('fetcher', () => {
  test('the journal, whole, its tail, nothing, and refused beyond its end', async () => {
    const fetcher = httpFetcher(`${origin}/${CODE}`);
    expect(await fetcher.journal(0)).toEqual(journalBytes);
    expect(await fetcher.journal(100)).toEqual(journalBytes.subarray(100));
    expect(await fetcher.journal(journalBytes.length)).toHaveLength(0);
    await expect(fetcher.journal(journalBytes.length + 1)).rejects.toMatchObject({ code: 'JOURNAL_FORKED' });
  });

  test('the snapshot, if there is one', async () => {
    const fetcher = httpFetcher(`${origin}/${CODE}`);
    snapshot = undefined;
    expect(await fetcher.snapshot()).toBeUndefined();
    snapshot = { round: 12, root: 'ab'.repeat(32), path: join(folder, 'blob') };
    const offer = await fetcher.snapshot();
    expect(offer).toMatchObject({ round: 12 });
    expect(toHex(offer!.root)).toBe('ab'.repeat(32));
    expect(Buffer.compare(await offer!.read(), content)).toBe(0);
  });

  test('a host that is not there, or that refuses', async () => {
    await expect(httpFetcher('http://127.0.0.1:1/x').journal(0)).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
    await expect(httpFetcher(`${origin}/wrong`).journal(0)).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
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
