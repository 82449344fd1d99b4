import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { memorySource } from '../../src/model/source.ts';
import type { Direction, Round } from '../../src/nouns.ts';
import { decodeSlope } from '../../src/numeric/byte.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { inTurn, localReplica } from '../../src/peer/local-replica.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import type { Replica } from '../../src/peer/replica.ts';
import { integersOf } from '../model/shelf.ts';
import { LM, smallKernels } from '../objective/models.ts';
import { committed, type LearnerOptions, smallLearner } from './learner.ts';
import { snapshotOf } from './snapshot.ts';

async function replicaOf(options: Partial<LearnerOptions> = {}) {
  const learner = await smallLearner({ engine: interpreter, kernels: referenceKernels(), ...options });
  const replica = localReplica(learner, learner.dataset.eval, nodeCrypto);
  return { learner, replica, manifest: learner.manifest };
}

type Made = Awaited<ReturnType<typeof replicaOf>>;

/** Measures and applies one round. */
async function trainRound({ replica, manifest }: Made, count = manifest.records_per_round): Promise<Round> {
  const round = replica.round();
  const header = { round, scale: manifest.initial_scale, clip: manifest.clip };
  const made = committed(manifest, round, await replica.measure(header, 0, count));
  await replica.apply([made]);
  return made;
}

const roots = (...replicas: Replica[]) => Promise.all(replicas.map((r) => r.root()));

describe('whatever measured, the weights are equal', () => {
  test('M peers measure K records each, one measures M·K: the same bytes, the same weights', async () => {
    for (const samples of [1, 3]) {
      const one = await replicaOf({ engine: nodeEngine({ threads: 1 }), samples });
      const header = { round: 0, scale: one.manifest.initial_scale, clip: 127 };
      const all = await one.replica.measure(header, 0, 8);
      const parts: number[] = [];
      for (const from of [0, 2, 4, 6]) {
        const peer = await replicaOf({ engine: nodeEngine({ threads: 1 }), samples });
        parts.push(...(await peer.replica.measure(header, from, 2)));
        await peer.replica.close();
      }
      expect(parts).toEqual([...all]);
      expect(new Set(all).size, 'the codes differ from each other').toBeGreaterThan(4);
      await one.replica.close();
    }
  });

  test.each<Direction>([
    { kind: 'lowrank', rank: 2, scale: Math.SQRT1_2 },
    { kind: 'rademacher', rank: 1, scale: 1 },
    { kind: 'binomial', rank: 1, scale: 0.5 },
  ])('interpreter and ONNX Runtime, both kernels, $kind: losses close, weights equal to the bit', async (direction) => {
    for (const task of [LM, undefined]) {
      const common = { direction, ...(task && { task }) };
      const a = await replicaOf(common);
      const b = await replicaOf({ ...common, engine: nodeEngine({ threads: 1 }), kernels: await smallKernels() });
      for (let round = 0; round < 3; round++) {
        const header = { round, scale: a.manifest.initial_scale, clip: a.manifest.clip };
        const [x, y] = [await a.replica.measure(header, 0, 8), await b.replica.measure(header, 0, 8)];
        for (const [i, code] of x.entries()) {
          const apart = decodeSlope(code, header.scale) - decodeSlope(y[i]!, header.scale);
          expect(Math.abs(apart), 'slopes of a few units').toBeLessThan(0.1);
        }
        const round_ = committed(a.manifest, round, round % 2 ? x : y);
        await Promise.all([a.replica.apply([round_]), b.replica.apply([round_])]);
        const [rootA, rootB] = await roots(a.replica, b.replica);
        expect(rootA).toEqual(rootB);
        expect(await a.replica.checksum()).toEqual(await b.replica.checksum());
      }
      const [m, n] = [await a.replica.evaluate(), await b.replica.evaluate()];
      expect(m['eval/loss']).toBeCloseTo(n['eval/loss']!, 5);
      expect(m['eval/accuracy']).toEqual(n['eval/accuracy']);
      await b.replica.close();
    }
  });

  test('training lowers the held-out loss', async () => {
    const made = await replicaOf({ engine: nodeEngine({ threads: 1 }), kernels: await smallKernels() });
    const before = (await made.replica.evaluate())['eval/loss']!;
    for (let round = 0; round < 8; round++) await trainRound(made);
    expect((await made.replica.evaluate())['eval/loss']).toBeLessThan(before);
    await made.replica.close();
  });
});

describe('order', () => {
  test('a round that is stale, ahead or given twice is refused, and nothing is applied', async () => {
    const made = await replicaOf();
    const first = await trainRound(made);
    const [before] = await roots(made.replica);
    const codes = Int8Array.of(1, 2, 3);
    for (const round of [0, 2]) {
      const refused = made.replica.apply([committed(made.manifest, round, codes)]);
      await expect(refused).rejects.toThrow(`JOURNAL_ORDER: round ${round} cannot follow 1 rounds`);
    }
    await expect(made.replica.apply([first])).rejects.toThrow(/^JOURNAL_ORDER/);
    expect((await roots(made.replica))[0]).toEqual(before);
    expect(made.replica.round()).toBe(1);
  });

  test('measuring for another round than that of the weights is a mistake of the caller', async () => {
    const { replica } = await replicaOf();
    await expect(replica.measure({ round: 1, scale: 1, clip: 127 }, 0, 1)).rejects.toThrow(RangeError);
  });

  test('calls run one after the other, and one that fails does not stop the next', async () => {
    const turn = inTurn();
    const seen: number[] = [];
    const slow = turn(async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      seen.push(1);
    });
    const failing = turn(() => Promise.reject(new TypeError('no')));
    const last = turn(() => seen.push(2));
    await expect(failing).rejects.toThrow('no');
    await Promise.all([slow, last]);
    expect(seen).toEqual([1, 2]);
  });

  test('a checksum that is asked for beside a measurement sees weights between two calls', async () => {
    const made = await replicaOf();
    const header = { round: 0, scale: made.manifest.initial_scale, clip: 127 };
    const [checksum, , again] = await Promise.all([
      made.replica.checksum(),
      made.replica.measure(header, 0, 4),
      made.replica.checksum(),
    ]);
    expect(again).toEqual(checksum);
  });
});

test('rounds are owed until somebody looks, but never more than fits into memory', async () => {
  const { learner, replica, manifest } = await replicaOf({ kernels: await smallKernels() });
  const round = (records: number) => committed(manifest, replica.round(), new Int8Array(records).fill(5));
  const before = await integersOf(learner.weights);
  await replica.apply([round(100)]);
  expect(await replica.settleOne()).toBe(true);
  await replica.apply([round(16_384)]);
  expect(await replica.settleOne()).toBe(false);
  expect(await integersOf(learner.weights)).not.toEqual(before);
});

describe('snapshots', () => {
  test('a snapshot restores weights and round; the two go on alike', async () => {
    const made = await replicaOf();
    for (let n = 0; n < 2; n++) await trainRound(made);
    const [snapshot, root] = [await snapshotOf(made.replica), await made.replica.root()];
    const other = await replicaOf({ kernels: await smallKernels() });
    // As it comes off a socket: a view that is not aligned.
    const moved = new Uint8Array(snapshot.length + 1).subarray(1);
    moved.set(snapshot);
    await other.replica.restore(2, memorySource('snapshot', moved), root);
    expect(other.replica.round()).toBe(2);
    expect(await snapshotOf(other.replica)).toEqual(snapshot);
    expect(await other.replica.checksum()).toEqual(await made.replica.checksum());
    const next = await trainRound(made);
    await other.replica.apply([next]);
    const [a, b] = await roots(made.replica, other.replica);
    expect(b).toEqual(a);
  });

  test('weights of another root, or of another length, are refused and change nothing', async () => {
    const made = await replicaOf();
    await trainRound(made);
    const [snapshot, root] = [await snapshotOf(made.replica), await made.replica.root()];
    const refused = (round: number, bytes: Uint8Array, wanted: Uint8Array) =>
      expect(made.replica.restore(round, memorySource('snapshot', bytes), wanted)).rejects.toThrow(/^BLOB_MISMATCH: /);
    for (const at of [0, 5000, snapshot.length - 1]) {
      const bad = snapshot.slice();
      bad[at]! ^= 1;
      await refused(5, bad, root);
    }
    await refused(5, snapshot, new Uint8Array(32));
    await refused(5, snapshot, root.subarray(0, 31));
    await refused(5, snapshot.subarray(4), root);
    await refused(5, new Uint8Array([...snapshot, 0]), root);
    await refused(5, new Uint8Array(0), root);
    expect(made.replica.round()).toBe(1);
    expect(await snapshotOf(made.replica)).toEqual(snapshot);
  });

  test('it is all weights, i32 little-endian, in the order of the ids', async () => {
    const { learner, replica } = await replicaOf();
    const view = new DataView((await snapshotOf(replica)).buffer);
    const values = (await integersOf(learner.weights)).flatMap((q) => [...q]);
    expect(view.byteLength).toBe(4 * values.length);
    for (let i = 0; i < values.length; i += 97) expect(view.getInt32(4 * i, true)).toBe(values[i]);
  });
});
