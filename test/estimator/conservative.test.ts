/** ZO-SGD-Cons: what is sent is the best of three, and trying it leaves no trace. */
import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { sampleIndices } from '../../src/data/order.ts';
import { chosen } from '../../src/estimator/conservative.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { applyCommitted, type Learner, measureRecords } from '../../src/method/onebyte.ts';
import type { Direction, Estimator } from '../../src/nouns.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { headOf } from '../../src/objective/forward.ts';
import { sequenceLosses } from '../../src/objective/loss.ts';
import { integersOf } from '../model/shelf.ts';
import { committed, smallLearner } from '../peer/learner.ts';

/** So large that a step along the slope often overshoots. */
const RATE = 0.03;

async function learnerWith(direction: Direction, estimator: Estimator, samples = 2): Promise<Learner> {
  const plain = await smallLearner({ engine: interpreter, kernels: referenceKernels(), direction, samples });
  return { ...plain, manifest: { ...plain.manifest, estimator, learning_rate: RATE } };
}

/** Mean loss of the samples of a record, at the weights as they are. */
async function lossOf({ manifest, run, dataset, forward, task, choices, positions }: Learner, record: number) {
  const examples = sampleIndices(manifest, run, dataset.train.length, 0, record).map((n) => dataset.train[n]!);
  const batches = batchExamples(examples, positions);
  const [outputs] = await forward.run(batches, headOf(task), { kind: 'none' }, choices);
  const losses = batches.flatMap((batch, i) => [...sequenceLosses(task, batch, outputs![i]!)]);
  return losses.reduce((a, b) => a + b, 0) / losses.length;
}

const RECORDS = 12;

/** For each record alone in its round: its code, and how much applying it changes the loss of its own samples. */
async function alone(direction: Direction, estimator: Estimator) {
  const found: { readonly code: number; readonly change: number }[] = [];
  for (let record = 0; record < RECORDS; record++) {
    const learner = await learnerWith(direction, estimator);
    const { manifest } = learner;
    const before = await lossOf(learner, record);
    const opened = { round: 0, scale: manifest.initial_scale, clip: manifest.clip };
    const codes = await measureRecords(learner, opened, record, 1);
    await applyCommitted(learner, committed(manifest, 0, codes, record));
    found.push({ code: codes[0]!, change: (await lossOf(learner, record)) - before });
  }
  return found;
}

/** No record raises its own loss by more than the rounding of f32 and of fixed point. */
const monotone = (changes: Awaited<ReturnType<typeof alone>>): boolean => changes.every(({ change }) => change < 1e-6);

describe.each<Direction>([
  { kind: 'lowrank', rank: 1, scale: 1 },
  { kind: 'binomial', rank: 1, scale: 0.5 },
])('$kind', (direction) => {
  test('never raises the loss of the samples it was measured on; plain SPSA at the same rate does', async () => {
    const [tried, plain] = [await alone(direction, 'conservative'), await alone(direction, 'spsa')];
    expect(monotone(tried)).toBe(true);
    expect(monotone(plain)).toBe(false);
    for (const [i, { code }] of tried.entries()) expect([0, plain[i]!.code, -plain[i]!.code]).toContain(code);
    expect(
      tried.some(({ code }) => code !== 0),
      'some steps are taken',
    ).toBe(true);
    expect(Math.min(...tried.map(({ change }) => change))).toBeLessThan(-1e-3);
  });

  test('codes do not depend on who measures how many, and no weight moves while they are tried', async () => {
    const learner = await learnerWith(direction, 'conservative');
    const opened = { round: 0, scale: learner.manifest.initial_scale, clip: 127 };
    const before = await integersOf(learner.weights);
    const all = await measureRecords(learner, opened, 0, 6);
    const parts = [await measureRecords(learner, opened, 0, 1), await measureRecords(learner, opened, 1, 5)];
    expect(parts.flatMap((codes) => [...codes])).toEqual([...all]);
    expect(await integersOf(learner.weights)).toEqual(before);
  });
});

describe('the choice', () => {
  test('is the least of three; a loss that is no number is never chosen', () => {
    expect([chosen(9, 1, 0.5, 2), chosen(9, 1, 2, 0.5), chosen(9, 0.4, 2, 0.5)]).toEqual([9, -9, 0]);
    expect([chosen(9, 1, Number.NaN, 0.5), chosen(9, 1, 0.5, Number.NaN), chosen(9, 1, Number.NaN, 2)]).toEqual([
      -9, 9, 0,
    ]);
  });

  test('steps of an optimizer with momentum do not lead back: trying with 1, -2 and 1 steps of it moves the weights', () => {
    /** As the published code tries: forth, twice back, forth again, and the weights should be where they were. */
    const returns = (beta: number): boolean => {
      let [w, m] = [0, 0.5];
      for (const times of [1, -1, -1, 1]) {
        m = beta * m + times * 3;
        w -= 0.1 * m;
      }
      return Math.abs(w) < 1e-12;
    };
    expect(returns(0)).toBe(true);
    expect(returns(0.9)).toBe(false); // hence a manifest with both is refused: test/peer/optimizers.test.ts
  });
});

test('a derivative is refused where nobody made the programs that take it', async () => {
  const learner = await learnerWith({ kind: 'lowrank', rank: 1, scale: 1 }, 'forward_gradient');
  await expect(measureRecords(learner, { round: 0, scale: 1, clip: 127 }, 0, 1)).rejects.toThrow(
    '"learner" expected a tangent',
  );
});
