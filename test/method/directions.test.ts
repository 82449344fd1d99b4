/**
 * Every kind of run, for both sides of a round: what is applied lies along what was measured. Published code has it
 * otherwise in places (LOZO's updates take new columns where the probe had old ones, ZO-Bench's forget the mask): such a
 * step moves the loss by nothing in particular, and these tests by far.
 */
import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { sampleIndices } from '../../src/data/order.ts';
import { type Measurement, spsa } from '../../src/estimator/spsa.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { applyCommitted, directionOf, keptIn, type Learner, measureRecords } from '../../src/method/onebyte.ts';
import type { Direction, Example } from '../../src/nouns.ts';
import { isMoved } from '../../src/numeric/element-mask.ts';
import type { Kernels } from '../../src/numeric/kernels.ts';
import { isMatrix } from '../../src/numeric/noise.ts';
import { rademacher } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { headOf } from '../../src/objective/forward.ts';
import { sequenceLosses } from '../../src/objective/loss.ts';
import { integersOf } from '../model/shelf.ts';
import { LM, smallKernels } from '../objective/models.ts';
import { committed, type LearnerOptions, smallLearner } from '../peer/learner.ts';

type Run = Pick<LearnerOptions, 'moves'> & { readonly direction: Direction };

const DENSE: Direction = { kind: 'rademacher', rank: 1, scale: 1 };
const RANK_2: Direction = { kind: 'lowrank', rank: 2, scale: Math.SQRT1_2 };
const RUNS: readonly (readonly [string, Run])[] = [
  ['lazy columns', { direction: { ...RANK_2, lazy: 3 } }],
  ['pool', { direction: DENSE, moves: { directions: { pool: 5 } } }],
  ['pool, low rank', { direction: RANK_2, moves: { directions: { pool: 5 } } }],
  ['shared', { direction: RANK_2, moves: { directions: { shared: 2 } } }],
  ['shared, lazy columns', { direction: { ...RANK_2, lazy: 2 }, moves: { directions: { shared: 3 } } }],
  ['smallest weights', { direction: DENSE, moves: { element_mask: { by: 'magnitude', kept: 1, of: 4 } } }],
  [
    'random weights',
    {
      direction: { kind: 'binomial', rank: 1, scale: 0.5 },
      moves: { element_mask: { by: 'random', kept: 1, of: 4 }, directions: { pool: 7 } },
    },
  ],
  ['a block in turn', { direction: RANK_2, moves: { blocks_per_round: 1 } }],
];

const learnerOf = (run: Run, kernels: Kernels): Promise<Learner> =>
  smallLearner({ engine: interpreter, kernels, task: LM, ...run });

async function lossOf({ forward, task }: Measurement, example: Example): Promise<number> {
  const [batch] = batchExamples([example], 48);
  const [[output]] = (await forward.run([batch!], headOf(task), { kind: 'none' })) as [[Float32Array]];
  return sequenceLosses(task, batch!, output)[0]!;
}

describe.each(RUNS)('%s', (name, run) => {
  test('a step along what a record measured lowers the loss of its samples by rate · slope²', async () => {
    const learner = await learnerOf(run, referenceKernels());
    const { manifest, dataset } = learner;
    let [moved, told] = [0, 0];
    // Rounds before, at and after new columns are drawn, and in both windows; records beyond the shared directions.
    for (const round of [1, 2, 3, 4])
      for (const record of [0, 4]) {
        const [index] = sampleIndices(manifest, learner.run, dataset.train.length, round, record);
        const example = dataset.train[index!]!;
        const probe = { key: directionOf(learner, round, record), examples: [example] };
        const [slope] = await spsa(learner, run.direction, 1e-3, [probe], keptIn(learner, round));
        const rate = 1e-4;
        const code = 100;
        const scale = Math.round((Math.abs(slope!) / code) * 2 ** 32);
        const header = { round, usable: 1, gain: rate * run.direction.scale, scale, clip: 127 };
        const codes = await measureRecords(learner, header, record, 1);
        expect(codes[0], 'what measureRecords sends').toBe(Math.sign(slope!) * code);
        const before = await lossOf(learner, example);
        await applyCommitted(learner, { header, segments: [{ slot: 0, from: record, codes }] });
        moved += (await lossOf(learner, example)) - before;
        told -= rate * slope! * slope!;
      }
    expect(moved / told, name).toBeGreaterThan(0.95);
    expect(moved / told, name).toBeLessThan(1.05);
  });

  test('replicas with other kernels, that owe, gather or pay, and hear of records in any order, agree to the bit', async () => {
    const one = await learnerOf(run, referenceKernels());
    const others = [await learnerOf(run, await smallKernels()), await learnerOf(run, referenceKernels())];
    const start = await integersOf(one.weights);
    for (let round = 0; round < 5; round++) {
      const codes = await measureRecords(one, { round, scale: one.manifest.initial_scale, clip: 127 }, 0, 6);
      const made = committed(one.manifest, round, codes);
      const apart = [...codes].map((_, i) => ({ slot: i, from: i, codes: codes.subarray(i, i + 1) }));
      await applyCommitted(one, made);
      await applyCommitted(others[0]!, { ...made, segments: apart.toReversed() });
      await applyCommitted(others[1]!, { ...made, segments: apart });
      if (round % 2 === 1) await others[0]!.weights.gather();
      while (round === 2 && (await others[1]!.weights.settleOne()));
    }
    const expected = await integersOf(one.weights);
    expect(expected).not.toEqual(start);
    for (const { weights } of others) expect(await integersOf(weights)).toEqual(expected);
  });
});

test('lazy: what a round adds to a matrix has the columns of its window, also where a new one begins', async () => {
  const direction: Direction = { kind: 'lowrank', rank: 1, scale: 1, lazy: 3 };
  const learner = await learnerOf({ direction }, referenceKernels());
  const matrix = learner.weights.tensors.find(({ shape }) => isMatrix(shape))!;
  const [rows, columns] = matrix.shape as [number, number];
  const owner = (round: number) => rademacher(directionOf(learner, round, 0), 2, 0, matrix.id, columns);
  for (const round of [2, 3, 5, 6]) {
    const before = (await integersOf(learner.weights))[matrix.id]!;
    await applyCommitted(learner, committed(learner.manifest, round, Int8Array.of(90)));
    const after = (await integersOf(learner.weights))[matrix.id]!;
    const v = owner(round - (round % 3));
    for (let i = 0; i < rows; i++)
      for (let j = 1; j < columns; j++) {
        const [first, other] = [0, j].map((k) => after[i * columns + k]! - before[i * columns + k]!);
        expect(other! * v[0]!).toBe(first! * v[j]!);
      }
  }
  expect(owner(3)).not.toEqual(owner(2));
});

test.each(['magnitude', 'random'] as const)(
  'sparse, %s: no update moves an element that no probe moves',
  async (by) => {
    const moves = { element_mask: { by, kept: 1, of: 5 } };
    const kernels = referenceKernels();
    const probed = new Map<number, Set<number>>();
    const watched: Kernels = {
      ...kernels,
      materialisePair(q, e, tensor, kind, rank, key, delta, first, plus, minus) {
        kernels.materialisePair(q, e, tensor, kind, rank, key, delta, first, plus, minus);
        const own = probed.get(tensor.id) ?? new Set();
        probed.set(tensor.id, own);
        plus.forEach((x, i) => {
          if (x !== minus[i]) own.add(first + i);
        });
      },
    };
    const learner = await learnerOf({ direction: DENSE, moves }, watched);
    const start = await integersOf(learner.weights);
    const codes = await measureRecords(learner, { round: 0, scale: 2 ** 24, clip: 127 }, 0, 4);
    await applyCommitted(learner, committed(learner.manifest, 0, codes));
    const end = await integersOf(learner.weights);
    let elements = 0;
    let moving = 0;
    for (const { id, moved } of learner.weights.tensors)
      start[id]!.forEach((x, i) => {
        elements++;
        if (isMoved(moved!, i)) moving++;
        if (end[id]![i] !== x) expect(isMoved(moved!, i)).toBe(true);
        expect(!probed.get(id)?.has(i) || isMoved(moved!, i)).toBe(true);
      });
    expect(Math.abs(moving / elements - 0.2)).toBeLessThan(0.02);
    const changed = start.reduce((sum, q, t) => sum + q.filter((x, i) => end[t]![i] !== x).length, 0);
    expect(changed).toBeGreaterThan(moving * 0.6); // of four signs c, some add up to nothing
  },
);

test('pool: however long a history, each tensor is applied as many terms as there are directions', async () => {
  const pool = 4;
  const kernels = referenceKernels();
  let [most, calls] = [0, 0];
  const counted: Kernels = {
    ...kernels,
    apply(q, tensor, kind, rank, terms) {
      calls++;
      most = Math.max(most, terms.length);
      kernels.apply(q, tensor, kind, rank, terms);
    },
  };
  const run: Run = { direction: RANK_2, moves: { directions: { pool } } };
  const [owing, paying] = [await learnerOf(run, counted), await learnerOf(run, referenceKernels())];
  for (let round = 0; round < 60; round++) {
    const codes = Int8Array.from({ length: 8 }, (_, i) => ((round * 31 + i * 17) % 255) - 127);
    const made = committed(owing.manifest, round, codes);
    await applyCommitted(owing, made);
    await applyCommitted(paying, made);
    if (round % 7 === 0) await owing.weights.gather();
    while (await paying.weights.settleOne());
  }
  expect(calls).toBe(0);
  expect(await integersOf(owing.weights)).toEqual(await integersOf(paying.weights));
  expect(calls).toBe(owing.weights.tensors.length);
  expect(most).toBe(pool);
});
