/** Host and peers over real sockets, with real signatures, on real time: what the simulation leaves out. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { openJournal } from '../../src/journal/journal.ts';
import { toHex } from '../../src/numeric/bytes.ts';
import type { HostEvent } from '../../src/peer/events.ts';
import { type Host, startHost } from '../../src/peer/host.ts';
import { httpFetcher } from '../../src/peer/http-fetcher.ts';
import { joinLink, parseJoinLink } from '../../src/peer/link.ts';
import { nodeCompressor } from '../../src/peer/node/compressor.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { httpRoutes } from '../../src/peer/node/http.ts';
import { openFileStore } from '../../src/peer/node/store.ts';
import { webSocketTransport } from '../../src/peer/node/transport-websocket.ts';
import { startParticipant } from '../../src/peer/participant.ts';
import type { Clock } from '../../src/ports.ts';
import { fakeReplica, HOST_SECRET, MANIFEST, secretOf } from './fake.ts';

const clock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
const entropy = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes));
const manifest = { ...MANIFEST, max_steps: 30, coordinator: toHex(nodeCrypto.publicKey(HOST_SECRET)) };
const CODE = 'a-join-code';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'murmur-'));
  cleanups.push(() => rm(path, { recursive: true }));
  return path;
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });

/** A host whose journal lies in `path`. */
async function hostIn(
  path: string,
  port: number,
  options: { minPeers?: number; onEvent?: (e: HostEvent) => void } = {},
) {
  const journal = await openJournal(await openFileStore(join(path, 'journal')), nodeCrypto, HOST_SECRET);
  if (journal.records.length === 0) await journal.append({ type: 'manifest', manifest });
  const pending = await openFileStore(join(path, 'pending'));
  const request = httpRoutes({ joinCode: CODE, journal, blobs: new Map(), crypto: nodeCrypto });
  const host: Host = await startHost({
    journal,
    pending,
    transport: webSocketTransport({ port, request }),
    replica: fakeReplica(clock),
    crypto: nodeCrypto,
    secret: HOST_SECRET,
    clock,
    entropy,
    joinCode: CODE,
    minPeers: 2,
    evalSteps: 10,
    ...options,
  });
  const close = async (): Promise<void> => {
    host.abort();
    await host.finished.catch(() => undefined);
    await journal.close();
    await pending.close();
  };
  return { host, journal, close, link: joinLink(host.address, CODE) };
}

function peer(link: string, number: number, msPerRecord = 0.2) {
  const { address, files, joinCode } = parseJoinLink(link);
  const replica = fakeReplica(clock, msPerRecord);
  let replicas = 0;
  const participant = startParticipant({
    transport: webSocketTransport(),
    address,
    fetcher: httpFetcher(files),
    joinCode,
    crypto: nodeCrypto,
    compressor: nodeCompressor,
    secret: secretOf(number),
    name: `peer ${number}`,
    clock,
    entropy,
    async makeReplica() {
      replicas++;
      return replica;
    },
    checksumSteps: 1,
    patienceMs: 20_000,
  });
  return { ...participant, replica, replicas: () => replicas };
}

test('three peers and a host over sockets; bytes are read off them; garbage closes only its sender', async () => {
  const { host, close, link, journal } = await hostIn(await folder(), 0, { minPeers: 3 });
  cleanups.push(close);
  const peers = [0, 1, 2].map((n) => peer(link, n));
  const { address } = parseJoinLink(link);
  const stranger = new WebSocket(address);
  stranger.on('error', () => undefined);
  const closed = new Promise((resolve) => stranger.once('close', (_, reason) => resolve(String(reason))));
  stranger.once('open', () => stranger.send(Uint8Array.of(0x77, ...randomBytes(300))));
  expect(await closed).toBe('FRAME_INVALID');

  const outcome = await host.finished;
  expect(outcome).toMatchObject({ reason: 'done', round: manifest.max_steps });
  for (const { finished, replicas } of peers) {
    expect(await finished).toMatchObject({ reason: 'done', root: outcome.root, round: manifest.max_steps });
    expect(replicas()).toBe(1);
  }
  const records = (await Promise.all(peers.map(({ finished }) => finished))).reduce(
    (sum, { records: n }) => sum + n,
    0,
  );
  expect(records).toBe(manifest.max_steps * manifest.records_per_round);

  const { payload, wire } = host.traffic();
  expect(wire).toBeGreaterThan(payload);
  expect(wire).toBeLessThan(2 * payload);
  const there = (await Promise.all(peers.map(({ finished }) => finished))).reduce(
    (sum, { traffic }) => sum + traffic.payload,
    0,
  );
  expect(payload - there, 'both ends count the same, but for the stranger').toBeLessThan(600);
  expect(journal.position.state!.rounds).toBe(manifest.max_steps);
});

test('a host that dies and comes back on its port: its peers go on, with the weights they have', async () => {
  const path = await folder();
  const port = await freePort();
  const first = await hostIn(path, port);
  const peers = [0, 1].map((n) => peer(first.link, n, 1));
  while (first.journal.position.state!.rounds < 5) await new Promise((resolve) => setTimeout(resolve, 5));
  await first.close();
  const second = await hostIn(path, port);
  cleanups.push(second.close);
  expect(second.journal.position.state!.rounds).toBeGreaterThanOrEqual(5);
  const outcome = await second.host.finished;
  expect(outcome.reason).toBe('done');
  for (const { finished, replicas } of peers) {
    expect(await finished).toMatchObject({ reason: 'done', root: outcome.root });
    expect(replicas()).toBe(1);
  }
});

test('a journal that was cut in its last record goes on from the one before', async () => {
  const path = await folder();
  const port = await freePort();
  const first = await hostIn(path, port, { minPeers: 1 });
  const early = peer(first.link, 0, 1);
  while (first.journal.position.state!.rounds < 5) await new Promise((resolve) => setTimeout(resolve, 5));
  early.stop();
  await early.finished;
  const bytes = await first.journal.read();
  await first.close();
  await writeFile(join(path, 'journal'), bytes.subarray(0, bytes.length - 7));
  const second = await hostIn(path, port, { minPeers: 1 });
  cleanups.push(second.close);
  const late = peer(second.link, 1);
  const outcome = await second.host.finished;
  expect(outcome.reason).toBe('done');
  expect((await late.finished).root).toBe(outcome.root);
});
