import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import type { Example } from '../../src/nouns.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { createForward } from '../../src/objective/forward.ts';
import { evaluate } from '../../src/peer/evaluate.ts';
import { readFolder, readReference } from '../model/folder.ts';
import { weightsIn } from '../model/shelf.ts';
import { CHOICE, promptOf } from '../objective/models.ts';
import { smallLearner } from './learner.ts';

const STORIES = '../shared/models/stories260k';

describe('language modelling', () => {
  test.skipIf(!existsSync(STORIES))(
    'mean NLL of stories260k equals the float64 reference (needs ../shared)',
    async () => {
      const { model, weight } = await readFolder(STORIES);
      const weights = await weightsIn(referenceKernels(), model, weight, 2 ** 20);
      const forward = createForward(model, weights, nodeEngine({ threads: 1 }));
      const base = await smallLearner({ engine: interpreter, kernels: referenceKernels() });
      for (const { input_ids, token_nll } of readReference(STORIES)) {
        const window = input_ids.length - 1;
        const ids = Int32Array.from(input_ids);
        const example: Example = {
          tokens: ids.subarray(0, window),
          at: Int32Array.from({ length: window }, (_, i) => i),
          targets: ids.subarray(1),
        };
        const learner = { ...base, forward, task: { kind: 'lm', window } as const, positions: model.positions };
        // Alone and beside itself: the mean over samples stays the mean over tokens.
        for (const copies of [1, 3]) {
          const metrics = await evaluate(learner, new Array<Example>(copies).fill(example));
          expect(metrics['eval/loss']).toBeCloseTo(token_nll.reduce((a, b) => a + b, 0) / window, 4);
          expect(metrics).not.toHaveProperty('eval/accuracy');
        }
      }
      await forward.release();
    },
  );
});

describe('choice', () => {
  /** A model that scores class (last token of the prompt) mod 3 highest, by a margin of 2. */
  const scripted = async () => {
    const learner = await smallLearner({ engine: interpreter, kernels: referenceKernels() });
    return {
      ...learner,
      forward: {
        ...learner.forward,
        run: async (batches: Parameters<typeof learner.forward.run>[0]) => [
          batches.map((batch) => {
            const scores = new Float32Array(batch.sequences * CHOICE.labels.length);
            batch.at.forEach((row, s) => {
              scores[3 * s + (batch.ids[row]! % 3)] = 2;
            });
            return scores;
          }),
        ],
      },
    };
  };

  test('accuracy and loss of a case made by hand', async () => {
    const learner = await scripted();
    const example = (last: number, target: number): Example => ({
      ...promptOf(0, 64, 3),
      tokens: Int32Array.of(1, 2, last),
      targets: Int32Array.of(target),
    });
    const [hit, miss] = [Math.log(Math.exp(2) + 2) - 2, Math.log(Math.exp(2) + 2)];
    const examples = [example(3, 0), example(4, 1), example(5, 2), example(6, 1), example(7, 2)];
    expect(await evaluate(learner, examples)).toEqual({
      'eval/accuracy': 3 / 5,
      'eval/loss': expect.closeTo((3 * hit + 2 * miss) / 5, 12),
    });
    expect((await evaluate(learner, examples.slice(3)))['eval/accuracy']).toBe(0);
  });

  test('padding of a batch is not counted', async () => {
    const learner = await smallLearner({ engine: interpreter, kernels: referenceKernels() });
    const examples = learner.dataset.eval.slice(0, 9);
    const apart = await Promise.all(examples.map((one) => evaluate(learner, [one])));
    const together = await evaluate(learner, examples);
    for (const metric of ['eval/loss', 'eval/accuracy'])
      expect(together[metric]).toBeCloseTo(apart.reduce((sum, m) => sum + m[metric]!, 0) / 9, 10);
  });

  test('without data there is nothing to say, and the remedy is named', async () => {
    const learner = await smallLearner({ engine: interpreter, kernels: referenceKernels() });
    await expect(evaluate(learner, [])).rejects.toThrow(/^FILE_MISSING: .*--data/);
  });
});
