import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { httpFetcher } from '../../src/peer/http-fetcher.ts';
import { joinLink, parseJoinLink } from '../../src/peer/link.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { httpRoutes } from '../../src/peer/node/http.ts';
import { dialable } from '../../src/peer/node/link.ts';
import { certified, fetchTrusting, trusting } from '../../src/peer/node/tls.ts';
import { webSocketTransport } from '../../src/peer/node/transport-websocket.ts';
import type { Channel, Transport } from '../../src/ports.ts';
import { ear, transportSuite } from '../suites/transport.ts';
import { begunJournal } from './fake.ts';

const file = (name: string): string => `test/fixtures/tls/${name}`;
const pem = (name: string): string => readFileSync(file(name), 'utf8');
const NOW = Date.UTC(2030, 0, 1);
const HOST = { cert: pem('host.pem'), key: pem('host.key') };

transportSuite('WebSocket with TLS', () => [
  webSocketTransport({ tls: HOST }),
  webSocketTransport({ trust: { ca: HOST.cert } }),
]);

describe('a certificate', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'murmur-'));
    writeFileSync(join(folder, 'broken.pem'), HOST.cert.replace(/[A-Z]{3}/g, 'AAA'));
    writeFileSync(join(folder, 'text.pem'), 'hello\n');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('and its key are taken, with the names that others may ask for', async () => {
    const { names, cert, key } = await certified(file('host.pem'), file('host.key'), NOW);
    expect(names).toEqual(['run.example']);
    expect([cert, key]).toEqual([HOST.cert, HOST.key]);
  });

  test.each<[string, () => [string, string, number], string, RegExp]>([
    ['the key of another', () => [file('host.pem'), file('elsewhere.key'), NOW], 'TLS_INVALID', /is not the key of/],
    ['no certificate', () => [join(folder, 'text.pem'), file('host.key'), NOW], 'TLS_INVALID', /holds no certificate/],
    ['a broken one', () => [join(folder, 'broken.pem'), file('host.key'), NOW], 'TLS_INVALID', /holds no certificate/],
    ['no key', () => [file('host.pem'), join(folder, 'text.pem'), NOW], 'TLS_INVALID', /is no private key/],
    ['a locked key', () => [file('host.pem'), file('encrypted.key'), NOW], 'TLS_INVALID', /needs a passphrase/],
    [
      'one that is over',
      () => [file('host.pem'), file('host.key'), Date.UTC(2999, 0)],
      'TLS_INVALID',
      /was good until/,
    ],
    ['one that is to come', () => [file('host.pem'), file('host.key'), 0], 'TLS_INVALID', /check the clock/],
    ['no file', () => [join(folder, 'none'), file('host.key'), NOW], 'FILE_MISSING', /none cannot be read/],
  ])('%s is refused', async (_, given, code, words) => {
    const refused = certified(...given());
    await expect(refused).rejects.toMatchObject({ code });
    await expect(refused).rejects.toThrow(words);
  });
});

describe('a host with a certificate', () => {
  const transports: Transport[] = [];
  afterEach(async () => {
    for (const transport of transports.splice(0)) await transport.close();
  });

  async function hosting(tls: { cert: string; key: string }) {
    const journal = await begunJournal();
    const request = httpRoutes({ joinCode: 'code', journal, blobs: new Map(), crypto: nodeCrypto });
    const transport = webSocketTransport({ tls, request });
    transports.push(transport);
    const far = ear();
    const address = await transport.listen(() => far);
    return { address, far, link: joinLink(address, 'code'), bytes: await journal.read() };
  }
  async function dial(address: string, trust?: Awaited<ReturnType<typeof trusting>>): Promise<Channel> {
    const transport = webSocketTransport({ trust });
    transports.push(transport);
    return transport.dial(address, ear());
  }

  test('is reached by https links, conversation and files, by who knows the certificate', async () => {
    const { address, far, link, bytes } = await hosting(HOST);
    expect(address).toMatch(/^wss:/);
    expect(link).toMatch(/^https:/);
    const trust = await trusting(file('host.pem'));
    const channel = await dial(parseJoinLink(link).address, trust);
    channel.send(Uint8Array.of(1, 2));
    await far.until(() => far.frames.length === 1);
    const fetcher = httpFetcher(parseJoinLink(link).files, fetchTrusting(trust));
    expect(await fetcher.journal(0)).toEqual(bytes);
    expect(await fetcher.journal(9)).toEqual(bytes.subarray(9));
    const text = await (await fetchTrusting(trust)(link)).text();
    expect(text).toContain(`murmur join ${link}`);
  });

  test('is refused by who does not know it, at once and by what to do', async () => {
    const { address } = await hosting(HOST);
    await expect(dial(address)).rejects.toMatchObject({ code: 'TLS_INVALID' });
    await expect(dial(address)).rejects.toThrow(/--tls_ca/);
    await expect(dial(address, await trusting(file('elsewhere.pem')))).rejects.toMatchObject({ code: 'TLS_INVALID' });
  });

  test('may be called otherwise where the very certificate was given, and not where only its issuer was', async () => {
    const elsewhere = { cert: pem('elsewhere.pem'), key: pem('elsewhere.key') };
    const { address } = await hosting(elsewhere);
    await dial(address, await trusting(file('elsewhere.pem')));
    await expect(dial(address, { ca: elsewhere.cert })).rejects.toMatchObject({ code: 'TLS_INVALID' });
  });

  test('what speaks no TLS ends only its own connection', async () => {
    const { address, far } = await hosting(HOST);
    const plain = dial(address.replace('wss', 'ws'));
    await expect(plain).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
    const socket = connect(Number(new URL(address).port), '127.0.0.1');
    socket.on('error', () => undefined).resume();
    socket.write(new Uint8Array(512).fill(7));
    await new Promise((resolve) => socket.once('close', resolve));
    const channel = await dial(address, await trusting(file('host.pem')));
    channel.send(Uint8Array.of(1));
    await far.until(() => far.frames.length === 1);
  });

  test('is told to others by the names of its certificate', () => {
    const here = { address: '192.0.2.7', internal: false, netmask: '', mac: '', cidr: null, family: 'IPv4' as const };
    expect(dialable('wss://0.0.0.0:77', { eth0: [here] }, ['run.example'])).toEqual([
      'wss://127.0.0.1:77',
      'wss://run.example:77',
    ]);
    expect(dialable('wss://192.0.2.7:77', {}, ['run.example'])).toEqual(['wss://192.0.2.7:77', 'wss://run.example:77']);
    expect(dialable('wss://127.0.0.1:77', {}, ['run.example'])).toEqual(['wss://127.0.0.1:77']);
  });
});
