/** Of a run with a pool of directions, the base and one sum for each direction are the weights, to the bit. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { interpreter } from '../../src/graph/interpreter.ts';
import { memorySource } from '../../src/model/source.ts';
import type { Manifest, Round } from '../../src/nouns.ts';
import { leavesOf } from '../../src/numeric/merkle.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { scaleState } from '../../src/numeric/scale.ts';
import { Table } from '../../src/numeric/table.ts';
import { codeSums, nextState } from '../../src/optimizer/gain.ts';
import { headerOf, usableCodes } from '../../src/optimizer/header.ts';
import { recentOf } from '../../src/optimizer/steps.ts';
import { chunksOf } from '../../src/peer/chunks.ts';
import type { SnapshotOffer } from '../../src/peer/fetcher.ts';
import { ledgerOf } from '../../src/peer/ledger.ts';
import { localReplica } from '../../src/peer/local-replica.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import type { Replica } from '../../src/peer/replica.ts';
import { restoreFrom } from '../../src/peer/restoring.ts';
import { areSumsWorth } from '../../src/peer/snapshot-pace.ts';
import { smallLearner } from './learner.ts';
import { offerOf, snapshotOf } from './snapshot.ts';

const ROUNDS = 14;
const RUNS: readonly (Partial<Manifest> & { readonly title: string; readonly last?: number })[] = [
  { title: 'rademacher' },
  {
    title: 'low rank, normalised',
    direction: { kind: 'lowrank', rank: 2, scale: 1 },
    optimizer: { kind: 'normalised' },
  },
  { title: 'momentum', optimizer: { kind: 'momentum', beta: 0.7, window: 4 } },
  { title: 'a mask', tensor_mask: { kept: 1, of: 2 } },
  { title: 'the last block', last: 1 },
];

async function replicaOf({ title: _, last, ...own }: (typeof RUNS)[number]): Promise<Replica & { manifest: Manifest }> {
  const plain = await smallLearner({ engine: interpreter, kernels: referenceKernels() });
  const manifest: Manifest = {
    ...plain.manifest,
    direction: { kind: 'rademacher', rank: 1, scale: 1 },
    max_steps: ROUNDS,
    directions: { pool: 5 },
    ...own,
  };
  const view = last === undefined ? plain.view : plain.view.slice(-last * 6);
  return { ...localReplica({ ...plain, manifest, view }, [], nodeCrypto), manifest };
}

function journalOf(manifest: Manifest, codes: readonly (readonly number[])[]): Round[] {
  let state = scaleState(manifest.initial_scale);
  return codes.map((own, t) => {
    const segments = [{ slot: 0, from: 0, codes: Int8Array.from(own) }];
    const header = headerOf(manifest, state, t, usableCodes(segments), codeSums(segments, manifest.clip));
    const round = { header, segments };
    state = nextState(manifest, state, round);
    return round;
  });
}

const codes = fc.array(fc.array(fc.integer({ min: -128, max: 127 }), { minLength: 1, maxLength: 6 }), {
  minLength: 4,
  maxLength: ROUNDS,
});
const sumsOf = async (replica: Replica, rounds: readonly Round[]): Promise<Uint8Array> =>
  (await replica.sums!(async () => rounds))!;

describe.each(RUNS)('$title', (run) => {
  test('base and sums make the weights of the replay, and the rounds behind them go on from there', async () => {
    await fc.assert(
      fc.asyncProperty(codes, fc.nat(99), fc.nat(99), async (all, asked, at) => {
        const live = await replicaOf(run);
        const rounds = journalOf(live.manifest, all);
        // Added up from some round on, by a replica that goes on; what was before is asked for.
        const from = Math.floor((asked * rounds.length) / 100);
        const to = from + Math.floor((at * (rounds.length - from)) / 100);
        await live.apply(rounds.slice(0, from));
        await sumsOf(live, rounds.slice(0, from));
        for (const round of rounds.slice(from, to)) await live.apply([round]);
        const sums = await live.sums!(() => Promise.reject(new RangeError('it has them')));
        const root = await live.root();
        const joined = await replicaOf(run);
        await joined.compose!(to, sums!, root, recentOf(live.manifest, rounds, to));
        expect(await joined.root()).toEqual(root);
        for (const each of [live, joined]) await each.apply(rounds.slice(to));
        expect(await joined.root()).toEqual(await live.root());
        expect(joined.round()).toBe(rounds.length);
      }),
      { numRuns: 6 },
    );
  });
});

describe('sums', () => {
  const FEW: readonly (readonly number[])[] = Array.from({ length: 8 }, (_, t) => [t * 9 - 40, 70 - t, -t]);

  test('that are not those leave the base as it was, and the weights themselves are fetched', async () => {
    const live = await replicaOf(RUNS[0]!);
    const rounds = journalOf(live.manifest, FEW);
    await live.apply(rounds);
    const root = await live.root();
    const right = await sumsOf(live, rounds);
    const wrong = right.slice();
    wrong[5]! ^= 1;
    const joined = await replicaOf(RUNS[0]!);
    const base = await joined.root();
    for (const bytes of [wrong, right.subarray(4), new Uint8Array(0)])
      await expect(joined.compose!(8, bytes, root)).rejects.toMatchObject({ code: 'BLOB_MISMATCH' });
    expect(await joined.root()).toEqual(base);

    const weights = await offerOf(live);
    const asked: number[] = [];
    const offering = (bytes: Uint8Array): SnapshotOffer => {
      const sums = leavesOf(new Int32Array(bytes.slice().buffer), nodeCrypto.sha256);
      const { name } = chunksOf(sums, nodeCrypto.sha256)[0]!;
      const [source] = weights.sources;
      const chunk = async (wanted: string): Promise<Uint8Array> => {
        const found = wanted === name ? bytes : await source.chunk(wanted);
        asked.push(found.length);
        return found;
      };
      return { ...weights, sums, sources: [{ name: 'the host', chunk }] };
    };
    const ledger = {
      ...ledgerOf([{ type: 'manifest', manifest: live.manifest }]),
      round: 8,
      digests: Table.of([[8, root] as const]),
    };
    for (const [bytes, most] of [
      [right, right.length],
      [wrong, Number.POSITIVE_INFINITY],
    ] as const) {
      asked.length = 0;
      const fresh = await replicaOf(RUNS[0]!);
      expect(await restoreFrom(offering(bytes), { replica: fresh, ledger, recent: [], crypto: nodeCrypto })).toEqual(
        root,
      );
      expect(await fresh.root()).toEqual(root);
      expect(asked[0]).toBe(right.length);
      expect(asked.reduce((a, b) => a + b)).toBeLessThanOrEqual(most);
      expect(asked.length > 1).toBe(bytes === wrong);
    }
  });

  test('follow what is taken back, and are not made where the journal is ahead of the weights', async () => {
    const live = await replicaOf(RUNS[0]!);
    const rounds = journalOf(live.manifest, FEW);
    await live.apply(rounds);
    await sumsOf(live, rounds);
    const was = rounds.slice(5);
    const now = [{ header: rounds[5]!.header, segments: [] }, rounds[6]!];
    await live.revise({ was, now, recent: [] });
    const left = [...rounds.slice(0, 5), ...now];
    expect(await live.sums!(async () => rounds)).toBeUndefined();
    const joined = await replicaOf(RUNS[0]!);
    await joined.compose!(7, await sumsOf(live, left), await live.root());
    expect(joined.round()).toBe(7);
    await expect(joined.compose!(7, new Uint8Array(0), await live.root())).rejects.toThrow('expected the base');
  });

  test('are worth it while they are few: fewer bytes, and no longer to add up than weights take to come', () => {
    const stories = 260_000;
    const rademacher = { kind: 'rademacher', rank: 1, scale: 1 } as const;
    expect(areSumsWorth(512, rademacher, 47, stories)).toBe(true);
    expect(areSumsWorth(4096, rademacher, 47, stories)).toBe(false); // three quarters of the bytes
    expect(areSumsWorth(4096, rademacher, 197, 125e6)).toBe(false); // minutes of adding
    expect(areSumsWorth(4096, { ...rademacher, kind: 'lowrank' }, 197, 125e6)).toBe(true);
  });
});

test('a replica without a pool has none; one that came from weights asks for the rounds', async () => {
  const plain = await smallLearner({ engine: interpreter, kernels: referenceKernels() });
  const none = localReplica(plain, [], nodeCrypto);
  expect(await none.sums!(() => Promise.reject(new RangeError('asked')))).toBeUndefined();

  const live = await replicaOf(RUNS[0]!);
  const rounds = journalOf(live.manifest, [[3, 5], [-7]]);
  await live.apply(rounds);
  const sums = await sumsOf(live, rounds);
  const restored = await replicaOf(RUNS[0]!);
  await restored.restore(2, memorySource('weights', await snapshotOf(live)), await live.root());
  await expect(restored.sums!(() => Promise.reject(new RangeError('asked')))).rejects.toThrow('asked');
  expect(await sumsOf(restored, rounds)).toEqual(sums);
});
