/** Journals that take things back: whoever follows one, replays it or starts from a snapshot has the same weights, to the bit. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { interpreter } from '../../src/graph/interpreter.ts';
import type { Journal } from '../../src/journal/journal.ts';
import type { Learner } from '../../src/method/onebyte.ts';
import { viewOf } from '../../src/model/view.ts';
import type { Entry, Manifest, Round, Segment } from '../../src/nouns.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { codeSums } from '../../src/optimizer/gain.ts';
import { headerOf, usableCodes } from '../../src/optimizer/header.ts';
import type { SnapshotOffer } from '../../src/peer/fetcher.ts';
import { Follower } from '../../src/peer/follower.ts';
import { extend, type Ledger, ledgerOf, mergesOf, roundsOf } from '../../src/peer/ledger.ts';
import { localReplica } from '../../src/peer/local-replica.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import type { Replica } from '../../src/peer/replica.ts';
import { micro } from '../objective/models.ts';
import { begunJournal, fakeCrypto, fakeReplica, journalFetcher, MANIFEST, secretOf } from './fake.ts';
import { smallLearner } from './learner.ts';
import { offerOf } from './snapshot.ts';

const PEERS = 3;
const RECORDS = 6;

type Op =
  | { readonly op: 'round'; readonly codes: readonly (readonly number[])[] }
  | { readonly op: 'revoke'; readonly slot: number; readonly from: number; readonly to: number }
  | { readonly op: 'rewind'; readonly round: number }
  /** A digest of the weights as they are. */
  | { readonly op: 'digest' };

/** Places as parts of a thousand of what there is. */
const part = fc.nat(999);
const round = fc.record({
  op: fc.constant('round' as const),
  codes: fc.array(fc.array(fc.integer({ min: -128, max: 127 }), { maxLength: 2 }), {
    minLength: PEERS,
    maxLength: PEERS,
  }),
});
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 16, arbitrary: round },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('revoke' as const), slot: fc.nat(PEERS - 1), from: part, to: part }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('rewind' as const), round: part }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('digest' as const) }) },
);
const ops = fc.array(op, { minLength: 16, maxLength: 40 });

/** Long enough for a joiner to ask for a snapshot, and with something taken back before it and after it. */
const LONG: readonly Op[] = [
  ...Array.from({ length: 18 }, (_, i): Op => ({ op: 'round', codes: [[i, -i], [7 * i], [100 - i]] })),
  { op: 'revoke', slot: 1, from: 300, to: 900 },
  { op: 'digest' },
  { op: 'round', codes: [[], [33], [-128, 5]] },
  { op: 'revoke', slot: 0, from: 999, to: 999 },
];

/** What is left, by the plainest means. */
class Plain {
  rounds: Round[] = [];
  enter(entry: Entry): void {
    if (entry.type === 'round') this.rounds.push(entry.round);
    if (entry.type === 'rewind') this.rounds = this.rounds.slice(0, entry.round);
    if (entry.type === 'revoke')
      this.rounds = this.rounds.map(({ header, segments }, i) => ({
        header,
        segments: segments.filter(({ slot }) => slot !== entry.slot || i < entry.from || i >= entry.to),
      }));
  }
}

/** The entry of an operation, undefined where it makes no sense. */
function entryOf({ manifest, scale, round: rounds }: Ledger, one: Op, root: () => Uint8Array): Entry | undefined {
  const at = (place: number): number => Math.floor((place * rounds) / 1000);
  switch (one.op) {
    case 'round': {
      const segments = one.codes.flatMap((codes, slot): Segment[] =>
        codes.length === 0 ? [] : [{ slot, from: 2 * slot, codes: Int8Array.from(codes) }],
      );
      if (rounds >= manifest.max_steps) return undefined;
      const header = headerOf(manifest, scale, rounds, usableCodes(segments), codeSums(segments, manifest.clip));
      return { type: 'round', round: { header, segments } };
    }
    case 'revoke': {
      const [from, to] = [at(Math.min(one.from, one.to)), at(Math.max(one.from, one.to)) + 1];
      return rounds === 0 ? undefined : { type: 'revoke', slot: one.slot, from, to };
    }
    case 'rewind':
      return rounds === 0 ? undefined : { type: 'rewind', round: at(one.round) };
    case 'digest':
      return { type: 'digest', round: rounds, root: root() };
  }
}

const ADMITTED: readonly Entry[] = Array.from({ length: PEERS }, (_, slot) => ({
  type: 'admit',
  slot,
  key: fakeCrypto.publicKey(secretOf(slot)),
  name: `peer ${slot}`,
}));

const MOVES: readonly (Partial<Manifest> & { readonly title: string })[] = [
  { title: 'sgd' },
  { title: 'sign', optimizer: { kind: 'sign' } },
  { title: 'normalised', optimizer: { kind: 'normalised' }, direction: { kind: 'rademacher', rank: 1, scale: 1 } },
  { title: 'momentum', optimizer: { kind: 'momentum', beta: 0.7, window: 4 } },
  {
    title: 'scalar adam, low rank, a mask',
    optimizer: { kind: 'scalar_adam', beta1: 0.9, beta2: 0.99, epsilon: 1e-8, window: 3 },
    direction: { kind: 'lowrank', rank: 2, scale: Math.SQRT1_2, lazy: 2 },
    tensor_mask: { kept: 1, of: 2 },
  },
  { title: 'a pool', directions: { pool: 5 }, direction: { kind: 'binomial', rank: 1, scale: 0.5 } },
  {
    title: 'shared directions, momentum, square root',
    directions: { shared: 2 },
    reduction: 'sqrt',
    optimizer: { kind: 'momentum', beta: 0.9, window: 2 },
  },
];

async function replicaOf(plain: Learner, manifest: Manifest): Promise<Replica> {
  const { model, weights } = await micro(referenceKernels());
  return localReplica({ ...plain, manifest, weights, view: viewOf(model, 'full') }, [], nodeCrypto);
}

const followerOf = (journal: Journal, make: () => Promise<Replica>): Follower =>
  new Follower(fakeCrypto, journal.position.run!, make);

async function follow(follower: Follower, journal: Journal, snapshot?: () => SnapshotOffer): Promise<Uint8Array> {
  const fetcher = journalFetcher(() => journal, snapshot);
  await follower.fetch(fetcher);
  while (!(await follower.advance(snapshot && fetcher)));
  return follower.replica.root();
}

describe.each(MOVES)('$title', ({ title: _, ...moves }) => {
  test('live, from the base, from a snapshot, without the records: the same weights', async () => {
    const plain = await smallLearner({ engine: interpreter, kernels: referenceKernels() });
    const manifest: Manifest = { ...plain.manifest, max_steps: 40, records_per_round: RECORDS, ...moves };
    const make = (): Promise<Replica> => replicaOf(plain, manifest);
    let [revised, taken] = [0, 0];
    await fc.assert(
      fc.asyncProperty<[readonly Op[]]>(ops, async (list) => {
        const journal = await begunJournal(manifest);
        await journal.appendAll(ADMITTED);
        const expected = new Plain();
        const live = followerOf(journal, make);
        let root = await follow(live, journal);
        let offer: SnapshotOffer | undefined;
        for (const one of list) {
          if (one.op === 'digest') root = await follow(live, journal);
          const ledger = ledgerOf(journal.records.map(({ entry }) => entry));
          const entry = entryOf(ledger, one, () => root);
          if (entry === undefined) continue;
          const { offset, bytes } = await journal.append(entry);
          expected.enter(entry);
          live.take(offset, bytes);
          expect(live.isUpToDate).toBe(entry.type === 'digest');
          if (entry.type === 'digest') {
            offer = await offerOf(live.replica, (bytes) => {
              taken++;
              return bytes;
            });
          }
          // Two of three are taken back with others, or with what follows.
          if (entry.type === 'revoke' && one.op === 'revoke' && one.from % 3 > 0) continue;
          root = await follow(live, journal);
          revised += entry.type === 'revoke' ? 1 : 0;
        }
        root = await follow(live, journal);
        const entries = journal.records.map(({ entry }) => entry);
        expect(roundsOf(entries)).toEqual(expected.rounds);
        const without = await make();
        await without.apply(expected.rounds);
        expect(root).toEqual(await without.root());
        expect(await follow(followerOf(journal, make), journal)).toEqual(root);
        if (offer !== undefined) expect(await follow(followerOf(journal, make), journal, () => offer!)).toEqual(root);
      }),
      { numRuns: 10, examples: [[LONG]] },
    );
    expect([revised > 0, taken > 0], 'both happen').toEqual([true, true]);
  });
});

describe('what the ledger says afterwards', () => {
  const entry = (codes: readonly (readonly number[])[], ledger: Ledger): Entry =>
    entryOf(ledger, { op: 'round', codes }, () => new Uint8Array(32))!;
  const CODES = [[40, -3], [100], [-90, 5]];

  /** A run of some rounds, each with a digest and an evaluation. */
  function ledgerAfter(rounds: number, manifest: Manifest = MANIFEST, more: readonly Entry[] = []): Ledger {
    let ledger = ledgerOf([{ type: 'manifest', manifest }, ...ADMITTED]);
    for (let at = 1; at <= rounds; at++) {
      ledger = extend(ledger, entry(CODES, ledger));
      ledger = extend(ledger, { type: 'digest', round: at, root: new Uint8Array(32).fill(at) });
      ledger = extend(ledger, { type: 'evaluation', round: at, slot: 0, metrics: { 'eval/loss': at } });
    }
    return more.reduce(extend, ledger);
  }

  test('a rewind leaves it as it was after those rounds, but for who was admitted', () => {
    const manifest: Manifest = {
      ...MANIFEST,
      optimizer: { kind: 'scalar_adam', beta1: 0.9, beta2: 0.99, epsilon: 1e-8, window: 3 },
    };
    const back = ledgerAfter(7, manifest, [{ type: 'rewind', round: 4 }]);
    expect(back).toEqual({ ...ledgerAfter(4, manifest), firm: 4 });
    expect(extend(back, entry(CODES, back)).scale).toEqual(ledgerAfter(5, manifest).scale);
  });

  test('a revocation leaves headers as they are, and what was found out before its first round', () => {
    const [before, revoked] = [ledgerAfter(7), ledgerAfter(7, MANIFEST, [{ type: 'revoke', slot: 1, from: 3, to: 5 }])];
    expect(revoked).toMatchObject({ round: 7, scale: before.scale, firm: 3 });
    for (const found of [revoked.digests, revoked.evaluated]) expect([...found.keys()]).toEqual([1, 2, 3]);
    expect(revoked.digests.get(3)).toEqual(before.digests.get(3));
  });

  test('what the method cannot give is not in its journal', () => {
    const adam: Manifest = { ...MANIFEST, optimizer: { kind: 'adam', beta1: 0.9, beta2: 0.99, epsilon: 1e-8 } };
    expect(() => ledgerAfter(3, adam, [{ type: 'revoke', slot: 1, from: 0, to: 2 }])).toThrow(
      /^JOURNAL_ORDER: slot 1 is revoked, but a record is in the moments of every later round/,
    );
    expect(ledgerAfter(3, adam, [{ type: 'rewind', round: 1 }]).round).toBe(1);
  });

  test('merges that were rewound count no more', () => {
    const merge = (at: number): Entry => ({ type: 'merge', merge: { round: at, shares: [], chunks: [] } });
    const entries: Entry[] = [merge(0), merge(1), merge(2), { type: 'rewind', round: 1 }, merge(1)];
    expect(mergesOf(entries).map(({ round: at }) => at)).toEqual([0, 1]);
    expect(mergesOf([{ type: 'rewind', round: 3 }])).toEqual([]);
  });
});

describe('a replica', () => {
  test('of coordinate Adam says that it cannot; a follower of it starts anew where rounds are rewound', async () => {
    const plain = await smallLearner({ engine: interpreter, kernels: referenceKernels() });
    const manifest: Manifest = {
      ...{ ...plain.manifest, max_steps: 40, records_per_round: RECORDS },
      optimizer: { kind: 'adam', beta1: 0.9, beta2: 0.99, epsilon: 1e-8 },
    };
    const journal = await begunJournal(manifest);
    await journal.appendAll(ADMITTED);
    let made = 0;
    const make = (): Promise<Replica> => {
      made++;
      return replicaOf(plain, manifest);
    };
    const live = followerOf(journal, make);
    const roots: Uint8Array[] = [];
    const commit = async (codes: readonly (readonly number[])[]): Promise<void> => {
      const entry = entryOf(ledgerOf(journal.records.map((record) => record.entry)), { op: 'round', codes }, () => {
        throw new TypeError('no digest here');
      });
      await journal.append(entry!);
      roots.push(await follow(live, journal));
    };
    for (let i = 0; i < 4; i++) await commit([[10 + i], [20], [-30]]);
    const [was] = roundsOf(journal.records.map(({ entry }) => entry)).slice(3);
    const refused = live.replica.revise({ was: [was!], now: [], recent: [] });
    await expect(refused).rejects.toThrow(/^NOT_REVOCABLE: optimizer adam: .*murmur rewind/);
    expect(await live.replica.root()).toEqual(roots[3]);

    await journal.append({ type: 'rewind', round: 2 });
    expect(await follow(live, journal)).toEqual(roots[1]);
    expect(made).toBe(2);
    await commit([[1], [2], [3]]);
    expect(await follow(followerOf(journal, make), journal)).toEqual(roots[4]);
  });

  test('takes back nothing but its last rounds', async () => {
    const replica = fakeReplica({ now: () => 0, after: () => () => undefined });
    const plain = await smallLearner({ engine: interpreter, kernels: referenceKernels() });
    const real = await replicaOf(plain, plain.manifest);
    await expect(real.revise({ was: [], now: [], recent: [] })).rejects.toThrow(RangeError);
    expect(replica.round()).toBe(0);
  });
});
