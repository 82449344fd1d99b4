import { describe, expect, test } from 'vitest';
import { recordKey } from '../../src/apply/apply.ts';
import { sampleIndices } from '../../src/data/order.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { applyCommitted, keptIn, measureRecords } from '../../src/method/onebyte.ts';
import { type Batch, NO_LOSS } from '../../src/nouns.ts';
import { SCALE_UNIT } from '../../src/numeric/byte.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import type { Perturbation } from '../../src/objective/perturbation.ts';
import { integersOf } from '../model/shelf.ts';
import { LM } from '../objective/models.ts';
import { committed, smallLearner } from '../peer/learner.ts';

/** A learner whose losses are told: record n's first sample gains `rises[n]` along its direction, the others nothing. */
async function scripted(rises: readonly number[], samples = 1) {
  const learner = await smallLearner({ engine: interpreter, kernels: referenceKernels(), task: LM, samples });
  const calls: { batches: readonly Batch[]; perturbation: Perturbation }[] = [];
  const forward: typeof learner.forward = {
    ...learner.forward,
    async run(batches, _, perturbation) {
      calls.push({ batches, perturbation });
      return [
        batches.map((batch) => {
          const nll = new Float32Array(batch.sequences * batch.scored).fill(2);
          for (let s = 0; s < batch.sequences; s += 2) {
            const sample = batch.members[s]! >> 1;
            if (sample % samples === 0) nll[s * batch.scored]! += LM.window * rises[sample / samples]!;
          }
          return nll;
        }),
      ];
    },
  };
  return { learner: { ...learner, forward }, calls };
}

const scale = 2 ** 30;
const unit = scale * SCALE_UNIT;

describe('measureRecords', () => {
  test('codes (L+ - L-) / 2 eps, averaged over the samples of a record, clipped, NO_LOSS where there is none', async () => {
    for (const samples of [1, 4]) {
      // eps is 1e-3: a rise of 2e-3 a sample is a slope of 1.
      const rises = [2e-3, -2e-3, 0, 2e-3 * 1000, -2e-3 * 1000, Number.NaN, Number.POSITIVE_INFINITY];
      const { learner } = await scripted(
        rises.map((rise) => rise * samples),
        samples,
      );
      const codes = await measureRecords(learner, { round: 0, scale, clip: 90 }, 0, rises.length);
      const one = Math.round(1 / unit);
      expect([...codes]).toEqual([one, -one, 0, 90, -90, NO_LOSS, NO_LOSS]);
    }
  });

  test('record n of a round has its own samples and its own direction, whoever measures it', async () => {
    const { learner, calls } = await scripted([0, 0, 0], 2);
    await measureRecords(learner, { round: 5, scale, clip: 127 }, 3, 3);
    const { manifest, run, dataset } = learner;
    const [{ batches, perturbation }] = calls as [(typeof calls)[0]];
    const indices = [3, 4, 5].flatMap((n) => sampleIndices(manifest, run, dataset.train.length, 5, n));
    expect(new Set(indices).size).toBe(6);
    const [batch, second] = batches as [Batch, Batch];
    const ids = [...batch.ids, ...second.ids];
    indices.forEach((index, i) => {
      const { tokens } = dataset.train[index]!;
      for (const sign of [0, 1])
        expect(ids.slice((2 * i + sign) * tokens.length, (2 * i + sign + 1) * tokens.length)).toEqual([...tokens]);
    });
    expect(perturbation).toMatchObject({ kind: 'sided', rank: 1, delta: manifest.eps });
    const keys = perturbation.kind === 'sided' ? perturbation.keys.flat().slice(0, 6) : [];
    expect(keys).toEqual([3, 3, 4, 4, 5, 5].map((n) => recordKey(run, 5, n)));
  });

  test('no records are no codes', async () => {
    const { learner } = await scripted([]);
    expect(await measureRecords(learner, { round: 0, scale, clip: 127 }, 0, 0)).toHaveLength(0);
  });
});

test('a run with a tensor mask moves in each round the tensors of that round, and no others', async () => {
  const { learner: plain } = await scripted([]);
  const learner = { ...plain, manifest: { ...plain.manifest, tensor_mask: { kept: 1, of: 3 } } };
  const { tensors } = learner.weights;
  const draws = [0, 1].map((round) => tensors.filter(({ id }) => keptIn(learner, round)(id)).map(({ name }) => name));
  expect(draws[0]).toHaveLength(Math.ceil(tensors.length / 3));
  expect(draws[1]).not.toEqual(draws[0]);
  for (const [round, kept] of draws.entries()) {
    const before = await integersOf(learner.weights);
    await applyCommitted(learner, committed(learner.manifest, round, Int8Array.of(100, -3, 7)));
    const after = await integersOf(learner.weights);
    const moved = tensors.filter((_, i) => after[i]!.some((x, j) => x !== before[i]![j]));
    expect(moved.map(({ name }) => name)).toEqual(kept);
  }
});
