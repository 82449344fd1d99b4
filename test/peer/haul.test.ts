import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fault, type FaultCode } from '../../src/faults.ts';
import type { ChunkMessage, Exchange } from '../../src/nouns.ts';
import { fromHex, toHex } from '../../src/numeric/bytes.ts';
import { exchangeHost } from '../../src/peer/exchange-host.ts';
import { type Haul, type HaulOptions, memoryChunks, openHaul } from '../../src/peer/haul.ts';
import { nodeCompressor } from '../../src/peer/node/compressor.ts';
import type { Exchanger } from '../../src/peer/replica.ts';
import type { ChunkStore } from '../../src/ports.ts';
import { encodeOffer, pack } from '../../src/wire/chunks.ts';
import { MAX_WANTED } from '../../src/wire/limits.ts';
import { fakeClock, fakeCrypto, seeded } from './fake.ts';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const hashOf = (bytes: Uint8Array): Uint8Array => fakeCrypto.sha256(bytes);
const GONE = new Fault('HOST_UNREACHABLE', 'gone');
const coded = (code: FaultCode) => expect.objectContaining({ name: 'Fault', code });

/** Chunks that differ, some of which pack well. */
const chunk = (number: number): Uint8Array =>
  number % 2 === 0 ? new Uint8Array(2000).fill(number) : Uint8Array.from({ length: 50 }, (_, i) => (i * number) & 255);
const chunks = (count: number): Uint8Array[] => Array.from({ length: count }, (_, i) => chunk(i));

async function storeOf(list: readonly Uint8Array[] = []): Promise<ChunkStore> {
  const store = memoryChunks();
  for (const bytes of list) await store.put(toHex(hashOf(bytes)), bytes);
  return store;
}

interface Said {
  readonly by: 'near' | 'far';
  readonly message: ChunkMessage;
}

/** Two hauls and a line between them, which delivers when it is told to. */
function line(near: ChunkStore, far: ChunkStore, options: Partial<HaulOptions> = {}) {
  const said: Said[] = [];
  const queue: Said[] = [];
  const open = (by: Said['by'], store: ChunkStore): Haul =>
    openHaul({
      ...{ store, compressor: nodeCompressor, crypto: fakeCrypto, ...options },
      send(message) {
        said.push({ by, message });
        queue.push({ by, message });
      },
    });
  const ends = { near: open('near', near), far: open('far', far) };
  const deliver = async ({ by, message }: Said): Promise<void> => {
    await (by === 'near' ? ends.far : ends.near).hear(message);
    await settle();
  };
  return {
    ...ends,
    said,
    queue,
    /** Delivers until nothing is on its way. @param pick which of those that are comes next. */
    async run(pick: (waiting: number) => number = () => 0, most = Number.POSITIVE_INFINITY) {
      for (let i = 0; i < most && queue.length > 0; i++) await deliver(queue.splice(pick(queue.length), 1)[0]!);
    },
    /** Hashes that an end has asked for, in order. */
    asked: (who: Said['by']): string[] =>
      said.flatMap(({ by, message }) => (by === who && message.type === 'want' ? message.hashes.map(toHex) : [])),
    crossed: (): string[] => said.flatMap(({ message }) => (message.type === 'chunk' ? toHex(message.hash) : [])),
  };
}

describe('what is asked for comes', () => {
  test('all of it, both ways at a time, whatever order chunks come in', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(14), fc.nat(14), fc.nat(1000), async (count, back, seed) => {
        const theirs = chunks(count);
        const ours = chunks(20 + back).slice(20);
        const [near, far] = [await storeOf(ours), await storeOf(theirs)];
        const l = line(near, far);
        const random = seeded(seed);
        const done = Promise.all([l.near.collect(theirs.map(hashOf)), l.far.collect(ours.map(hashOf))]);
        await l.run((waiting) => Math.floor(random() * waiting));
        await done;
        for (const bytes of theirs) expect(await near.get(toHex(hashOf(bytes)))).toEqual(bytes);
        for (const bytes of ours) expect(await far.get(toHex(hashOf(bytes)))).toEqual(bytes);
        expect(l.crossed()).toHaveLength(count + back);
      }),
      { numRuns: 40 },
    );
  });

  test('never more than MAX_WANTED are under way, and as many as that while there are', async () => {
    const theirs = chunks(11);
    const l = line(await storeOf(), await storeOf(theirs));
    const done = l.near.collect(theirs.map(hashOf));
    const underWay = () => l.asked('near').length - arrived;
    let arrived = 0;
    expect(underWay()).toBe(MAX_WANTED);
    while (l.queue.length > 0) {
      const next = l.queue[0]!;
      await l.run(undefined, 1);
      if (next.message.type === 'chunk') arrived++;
      expect(underWay()).toBe(Math.min(MAX_WANTED, theirs.length - arrived));
    }
    await done;
    expect(arrived).toBe(11);
  });

  test('in the order in which it was asked for', async () => {
    const theirs = chunks(9).map(hashOf);
    const l = line(await storeOf(), await storeOf(chunks(9)));
    const done = l.near.collect(theirs);
    await l.run();
    await done;
    expect(l.asked('near')).toEqual(theirs.map(toHex));
  });

  test('what is there already is not asked for; where all is, nothing is said', async () => {
    const all = chunks(6);
    const l = line(await storeOf(all.slice(0, 3)), await storeOf(all));
    await l.near.collect(all.slice(0, 3).map(hashOf));
    await l.near.collect([]);
    expect(l.said).toEqual([]);
    const done = l.near.collect(all.map(hashOf));
    await l.run();
    await done;
    expect(l.asked('near')).toEqual(all.slice(3).map((bytes) => toHex(hashOf(bytes))));
  });

  test('a hash that is named twice crosses once', async () => {
    const [bytes] = chunks(1);
    const l = line(await storeOf(), await storeOf([bytes!]));
    const done = l.near.collect([hashOf(bytes!), hashOf(bytes!)]);
    await l.run();
    await done;
    expect(l.crossed()).toHaveLength(1);
  });

  test('sets that overlap are both collected, and each chunk crosses once', async () => {
    const all = chunks(9);
    const hashes = all.map(hashOf);
    const l = line(await storeOf(), await storeOf(all));
    const ended: string[] = [];
    const first = l.near.collect(hashes.slice(0, 6)).then(() => ended.push('first'));
    const second = l.near.collect(hashes.slice(3)).then(() => ended.push('second'));
    const third = l.near.collect(hashes.slice(4, 5)).then(() => ended.push('third'));
    await l.run();
    await Promise.all([first, second, third]);
    expect(ended).toEqual(['third', 'first', 'second']);
    expect(l.crossed().sort()).toEqual(hashes.map(toHex).sort());
  });

  test('a set is not collected before its last chunk is stored', async () => {
    const all = chunks(3);
    const near = await storeOf();
    const l = line(near, await storeOf(all));
    let done = false;
    const collected = l.near.collect(all.map(hashOf)).then(() => {
      done = true;
    });
    await l.run(undefined, 3);
    expect(done).toBe(false);
    await l.run();
    expect(done).toBe(true);
    await collected;
  });

  test('a chunk that many want is packed once where hauls share what they packed', async () => {
    const bytes = chunk(2);
    let deflated = 0;
    const compressor = {
      ...nodeCompressor,
      deflate(x: Uint8Array) {
        deflated++;
        return nodeCompressor.deflate(x);
      },
    };
    const far = await storeOf([bytes]);
    const packed = new Map<string, Uint8Array>();
    for (let peer = 0; peer < 3; peer++) {
      const l = line(await storeOf(), far, { compressor, packed });
      const done = l.near.collect([hashOf(bytes)]);
      await l.run();
      await done;
    }
    expect(deflated).toBe(1);
  });
});

describe('offences, by code', () => {
  const packed = (bytes: Uint8Array): Uint8Array => pack(bytes, nodeCompressor);
  const [wanted, other] = [chunk(4), chunk(5)];

  async function waiting() {
    const store = await storeOf();
    const l = line(store, await storeOf());
    const collected = l.near.collect([hashOf(wanted)]);
    collected.catch(() => undefined);
    return { ...l, store, collected };
  }

  test('a chunk that nobody asked for', async () => {
    const { near, store } = await waiting();
    const message: ChunkMessage = { type: 'chunk', hash: hashOf(other), packed: packed(other) };
    await expect(near.hear(message)).rejects.toThrow(coded('MESSAGE_UNEXPECTED'));
    expect(store.has(toHex(hashOf(other)))).toBe(false);
  });

  test('a chunk that came already', async () => {
    const { near, collected } = await waiting();
    const message: ChunkMessage = { type: 'chunk', hash: hashOf(wanted), packed: packed(wanted) };
    await near.hear(message);
    await collected;
    await expect(near.hear(message)).rejects.toThrow(coded('MESSAGE_UNEXPECTED'));
  });

  test.each([
    ['other bytes', packed(other), 'BLOB_MISMATCH'],
    ['a byte too many', packed(Uint8Array.of(...wanted, 0)), 'BLOB_MISMATCH'],
    ['no packing', Uint8Array.of(9, 9, 9), 'SHARE_INVALID'],
  ] as const)('a damaged chunk: %s; it is not stored, and the whole one is still waited for', async (_, body, code) => {
    const { near, store, collected } = await waiting();
    const hash = hashOf(wanted);
    await expect(near.hear({ type: 'chunk', hash, packed: body })).rejects.toThrow(coded(code));
    expect(store.has(toHex(hash))).toBe(false);
    await near.hear({ type: 'chunk', hash, packed: packed(wanted) });
    await collected;
    expect(await store.get(toHex(hash))).toEqual(wanted);
  });
});

test('a chunk that is gone is said to be so: whoever waits for it is told, and the others come', async () => {
  const all = chunks(9);
  const l = line(await storeOf(), await storeOf(all.filter((_, i) => i !== 5)));
  const most = l.near.collect(all.slice(0, 5).map(hashOf));
  const gone = expect(l.near.collect(all.slice(4, 7).map(hashOf))).rejects.toThrow(coded('FILE_MISSING'));
  const rest = l.near.collect(all.slice(6).map(hashOf));
  await l.run();
  await Promise.all([most, gone, rest]);
});

describe('the end of a channel', () => {
  test('rejects all that is waited for, and what is asked for after it', async () => {
    const all = chunks(7).map(hashOf);
    const l = line(await storeOf(), await storeOf());
    const waits = [l.near.collect(all.slice(0, 5)), l.near.collect(all.slice(4))];
    const ends = Promise.allSettled(waits);
    l.near.end(GONE);
    expect(await ends).toEqual([
      { status: 'rejected', reason: GONE },
      { status: 'rejected', reason: GONE },
    ]);
    await expect(l.near.collect(all)).rejects.toBe(GONE);
  });

  test('what came before it stays: over a new one only the rest crosses', async () => {
    const all = chunks(10);
    const hashes = all.map(hashOf);
    const [near, far] = [await storeOf(), await storeOf(all)];
    const first = line(near, far);
    const cut = first.near.collect(hashes).catch((fault) => fault);
    await first.run(undefined, 6);
    first.near.end(GONE);
    expect(await cut).toBe(GONE);
    const came = hashes.map(toHex).filter((hash) => near.has(hash));
    expect(came.length).toBeGreaterThan(0);
    expect(came.length).toBeLessThan(10);
    const second = line(near, far);
    const done = second.near.collect(hashes);
    await second.run();
    await done;
    expect(second.crossed()).toHaveLength(10 - came.length);
    expect([...came, ...second.crossed()].sort()).toEqual(hashes.map(toHex).sort());
  });
});

test('chunks in memory are copies, and dropped ones are gone', async () => {
  const store = memoryChunks();
  const bytes = Uint8Array.of(1, 2, 3);
  await store.put('a', bytes);
  bytes.fill(0);
  expect(await store.get('a')).toEqual(Uint8Array.of(1, 2, 3));
  await store.drop('a');
  await store.sync();
  expect([store.has('a'), await store.get('a')]).toEqual([false, undefined]);
});

describe('a host that collects offers', () => {
  const SIZE = 3;
  async function hosting(kind: Exchange['kind'] = 'diloco', refused: readonly number[] = []) {
    const offers = memoryChunks();
    const wants: ChunkMessage[] = [];
    const exchanger = {
      sum: async (shares: readonly { readonly slot: number }[]) => ({
        squares: [1],
        refused: shares.map(({ slot }) => slot).filter((slot) => refused.includes(slot)),
      }),
      settle: async () => chunks(2 * SIZE + 9).slice(-SIZE),
    } as unknown as Exchanger;
    const host = exchangeHost({
      ports: { offers, merges: memoryChunks(), compressor: nodeCompressor, sharded: false },
      ...{ exchange: { kind } as Exchange, exchanger, sizes: [[new Array<number>(SIZE).fill(1)]] },
      ...{ crypto: fakeCrypto, clock: fakeClock(), onFailed: () => undefined },
      send: (_, message) => wants.push(message as ChunkMessage),
    });
    const all = chunks(SIZE);
    const give = (bytes: Uint8Array): Promise<void> =>
      host.hear(0, { type: 'chunk', hash: hashOf(bytes), packed: pack(bytes, nodeCompressor) });
    const codes = encodeOffer({ count: 1, hashes: all.map(hashOf) });
    return { host, offers, wants, all, give, codes };
  }

  test('an offer has all chunks or none', async () => {
    const { host, codes } = await hosting();
    expect(host.offerOf(5, codes)).toMatchObject({ count: 1 });
    expect(host.offerOf(5, encodeOffer({ count: 2, hashes: [] }))).toEqual({ count: 2, hashes: [] });
    expect(() => host.offerOf(0, encodeOffer({ count: 1, hashes: [hashOf(chunk(0))] }))).toThrow(
      coded('SHARE_INVALID'),
    );
    expect(() => host.offerOf(0, new Int8Array(3))).toThrow(coded('FRAME_INVALID'));
  });

  test('chunks that are forgotten while others are on their way are fetched again before the offer counts', async () => {
    const { host, offers, wants, all, give, codes } = await hosting();
    const collected = host.collect(0, host.offerOf(0, codes));
    await give(all[0]!);
    await host.forget();
    expect(offers.has(toHex(hashOf(all[0]!)))).toBe(false);
    await give(all[1]!);
    await give(all[2]!);
    await settle();
    expect(wants.at(-1)).toEqual({ type: 'want', hashes: [hashOf(all[0]!)] });
    expect(host.holds(codes)).toBe(false);
    await give(all[0]!);
    await collected;
    expect(host.holds(codes)).toBe(true);
  });

  test('what came after others were forgotten is forgotten the next time', async () => {
    const { host, offers, all, give, codes } = await hosting();
    const collected = host.collect(0, host.offerOf(0, codes));
    await host.forget();
    for (const bytes of all) await give(bytes);
    await collected;
    await host.forget();
    expect(all.filter((bytes) => offers.has(toHex(hashOf(bytes))))).toEqual([]);
  });

  describe('where peers hear each other', () => {
    /** Whether the host gives each of these chunks away. */
    async function given({ host, wants }: Awaited<ReturnType<typeof hosting>>, hashes: readonly Uint8Array[]) {
      const before = wants.length;
      await host.hear(1, { type: 'want', hashes });
      return wants.slice(before).map((message) => message.type === 'chunk' && message.packed.length > 0);
    }
    /** Another merge, of a share of other chunks. */
    async function next({ host, give }: Awaited<ReturnType<typeof hosting>>) {
      const others = chunks(2 * SIZE).slice(SIZE);
      const codes = encodeOffer({ count: 1, hashes: others.map(hashOf) });
      const collected = host.collect(0, host.offerOf(1, codes));
      for (const bytes of others) await give(bytes);
      await collected;
      await host.merge(1, [{ slot: 4, from: 0, codes }], new Map());
    }
    async function merged(kind: Exchange['kind'], refused: readonly number[] = []) {
      const hosted = await hosting(kind, refused);
      const { host, all, give, codes } = hosted;
      const collected = host.collect(0, host.offerOf(0, codes));
      for (const bytes of all) await give(bytes);
      await collected;
      const names = [fakeCrypto.sha256(new Uint8Array(codes)), ...all.map(hashOf)];
      expect(await given(hosted, names), 'before the round is closed').toEqual(names.map(() => false));
      await host.merge(0, [{ slot: 4, from: 0, codes }], new Map());
      await host.forget();
      return { hosted, names };
    }

    test('they fetch what a merge was made of, by what the journal says of each share, until the next', async () => {
      const { hosted, names } = await merged('monna');
      expect(await given(hosted, names)).toEqual(names.map(() => true));
      await next(hosted);
      await hosted.host.forget();
      expect(names.filter((name) => hosted.offers.has(toHex(name)))).toEqual([]);
    });

    test('nothing of it stays when the host closes', async () => {
      const { hosted, names } = await merged('monna');
      await hosted.host.close();
      expect(names.filter((name) => hosted.offers.has(toHex(name)))).toEqual([]);
    });

    test.each([
      ['a share that is no vector', 'monna', [4]],
      ['where the merge is all that is of use', 'diloco', []],
    ] as const)('nobody is given %s', async (_, kind, refused) => {
      const { hosted, names } = await merged(kind, refused);
      expect(await given(hosted, names)).toEqual(names.map(() => false));
    });
  });

  test('a peer that goes leaves nobody waiting', async () => {
    const { host, codes } = await hosting();
    const collected = host.collect(0, host.offerOf(0, codes));
    host.left(0);
    await expect(collected).rejects.toThrow(coded('HOST_UNREACHABLE'));
  });
});

test('hexadecimal names are those of the hashes', () => {
  expect(fromHex(toHex(hashOf(chunk(1))))).toEqual(hashOf(chunk(1)));
});
