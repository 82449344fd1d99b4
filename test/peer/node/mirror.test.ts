/** A peer that shares: what it gives are the weights of the round that was signed, whatever came after; and nothing else. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Round } from '../../../src/nouns.ts';
import { fromHex } from '../../../src/numeric/bytes.ts';
import { chunksOf, isChunk } from '../../../src/peer/chunks.ts';
import { inTurn } from '../../../src/peer/local-replica.ts';
import { nodeCrypto } from '../../../src/peer/node/crypto.ts';
import { type MirrorEvent, openMirror, parseShare } from '../../../src/peer/node/mirror.ts';
import { decodeAnnouncement } from '../../../src/wire/snapshot-offer.ts';
import { temporaryFolder } from '../../swarm/processes.ts';
import { fakeClock, fakeReplica, secretOf } from '../fake.ts';

const RUN = new Uint8Array(32).fill(9);
const CODE = 'sesame';

/** A host that hears announcements. */
async function hostOf(): Promise<{ files: string; heard: string[] }> {
  const heard: string[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    heard.push(`${request.url} ${body}`);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { files: `http://127.0.0.1:${(server.address() as AddressInfo).port}/${CODE}`, heard };
}

const roundOf = (round: number): Round => ({
  header: { round, usable: 2, gain: 1, scale: 1000, clip: 127 },
  segments: [{ slot: 0, from: 0, codes: Int8Array.of(5, -7) }],
});

/** A replica that answers in order, as those behind a thread do. */
function replicaInTurn() {
  const inner = fakeReplica(fakeClock());
  const turn = inTurn();
  return {
    apply: (rounds: readonly Round[]) => turn(() => inner.apply(rounds)),
    leaves: () => turn(() => inner.leaves()),
    root: () => turn(() => inner.root()),
    snapshot: (write: (chunk: Uint8Array) => Promise<void>) => turn(() => inner.snapshot(write)),
  };
}

async function sharing(files: string) {
  const events: MirrorEvent[] = [];
  const shared: (() => void)[] = [];
  const mirror = await openMirror({
    ...{ folder: temporaryFolder(), host: '127.0.0.1', port: 0, joinCode: CODE, files, secret: secretOf(3) },
    onEvent(event) {
      events.push(event);
      if (event.event === 'shared') shared.shift()?.();
    },
  });
  onTestFinished(() => mirror.close());
  const next = (): Promise<void> => new Promise((resolve) => shared.push(resolve));
  return { mirror, events, next, origin: `http://127.0.0.1:${mirror.port}` };
}

describe('a mirror', () => {
  test('gives the weights of the signed round, though later ones were applied at once', async () => {
    const { files, heard } = await hostOf();
    const { mirror, next, origin, events } = await sharing(files);
    const replica = replicaInTurn();
    await replica.apply([roundOf(0)]);
    const [leaves, root] = [await replica.leaves(), await replica.root()];
    const kept = next();
    mirror.keep(1, replica);
    await replica.apply([roundOf(1)]);
    mirror.signed(RUN, 1, root); // the digest comes when the weights have gone on
    await replica.apply([roundOf(2)]);
    await kept;
    const [chunk] = chunksOf(leaves, nodeCrypto.sha256);
    const response = await fetch(`${origin}/${CODE}/chunk/${chunk!.name}`);
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    expect(isChunk(chunk!, new Uint8Array(await response.arrayBuffer()), nodeCrypto.sha256)).toBe(true);
    expect(mirror.sent()).toBe(32);
    expect(events).toContainEqual({ event: 'shared', round: 1, known: true });
    const [path, body] = heard[0]!.split(' ');
    expect(path).toBe(`/${CODE}/mirror`);
    expect(decodeAnnouncement(fromHex(body!))).toMatchObject({ round: 1, port: mirror.port });
  });

  test('keeps nothing that is not what was signed, and goes on with the next', async () => {
    const { files, heard } = await hostOf();
    const { mirror, next } = await sharing(files);
    const replica = replicaInTurn();
    mirror.keep(0, replica);
    mirror.signed(RUN, 0, new Uint8Array(32));
    await replica.apply([roundOf(0)]);
    mirror.signed(RUN, 1, await replica.root()); // signed, and nothing was kept
    await replica.apply([roundOf(1)]);
    const kept = next();
    mirror.keep(2, replica);
    mirror.signed(RUN, 2, await replica.root());
    await kept;
    expect(heard.map((line) => decodeAnnouncement(fromHex(line.split(' ')[1]!)).round)).toEqual([2]);
  });

  test('a replica that cannot be written, and digests that never come, stop nothing', async () => {
    const { files } = await hostOf();
    const { mirror, next, events } = await sharing(files);
    const replica = replicaInTurn();
    mirror.keep(0, { leaves: () => replica.leaves(), snapshot: () => Promise.reject(new RangeError('broken')) });
    mirror.signed(RUN, 0, await replica.root());
    for (let round = 1; round < 4; round++) {
      await replica.apply([roundOf(round - 1)]);
      mirror.keep(round, replica);
    }
    const kept = next();
    mirror.signed(RUN, 1, await replica.root()); // kept, and given up since
    mirror.signed(RUN, 3, await replica.root());
    await kept;
    expect(events.filter(({ event }) => event === 'shared')).toEqual([{ event: 'shared', round: 3, known: true }]);
  });

  test('shares though the host cannot be told', async () => {
    const { mirror, next, events } = await sharing('http://127.0.0.1:1/x');
    const kept = next();
    const replica = replicaInTurn();
    mirror.keep(0, replica);
    mirror.signed(RUN, 0, await replica.root());
    await kept;
    expect(events.at(-1)).toEqual({ event: 'shared', round: 0, known: false });
  });

  test('answers nothing but chunks, to nobody without the code', async () => {
    const { files } = await hostOf();
    const { mirror, next, origin } = await sharing(files);
    const replica = replicaInTurn();
    const kept = next();
    mirror.keep(0, replica);
    mirror.signed(RUN, 0, await replica.root());
    await kept;
    const { name } = chunksOf(await replica.leaves(), nodeCrypto.sha256)[0]!;
    expect((await fetch(`${origin}/${CODE}/chunk/${name}`)).status).toBe(200);
    const wrong = ['', '/', `/wrong/chunk/${name}`, `/${CODE}/blob/${name}`, `/${CODE}/chunk/${'00'.repeat(32)}`];
    for (const path of [...wrong, `/${CODE}/chunk/..%2f..%2fleaves`, `/${CODE}/journal?from=0`])
      expect((await fetch(origin + path)).status, path).toBe(404);
    expect((await fetch(`${origin}/${CODE}/chunk/${name}`, { method: 'POST' })).status).toBe(404);
  });

  test('listens where it was told to, on this machine alone if nothing was said', async () => {
    expect(parseShare('7800')).toEqual({ host: '127.0.0.1', port: 7800 });
    expect(parseShare('0.0.0.0:0')).toEqual({ host: '0.0.0.0', port: 0 });
    expect(parseShare('[::1]:80')).toEqual({ host: '::1', port: 80 });
    for (const text of ['', 'x', ':80', '1.2.3.4', '1.2.3.4:99999', '1:2:3'])
      expect(() => parseShare(text), text).toThrow(/^CONFIG_INVALID: --share: /);
    const { files } = await hostOf();
    const { mirror } = await sharing(files);
    const taken = { folder: temporaryFolder(), host: '127.0.0.1', port: mirror.port, joinCode: CODE, files };
    await expect(openMirror({ ...taken, secret: secretOf(4), onEvent: () => undefined })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });
});
