import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import { forwardGradient } from '../../src/estimator/forward-gradient.ts';
import { type Probe, spsa } from '../../src/estimator/spsa.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import type { Direction, DirectionKey, Example, Task } from '../../src/nouns.ts';
import { everything, type Kept } from '../../src/numeric/mask.ts';
import { direction as noise } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { createBackward } from '../../src/objective/backward.ts';
import { createForward } from '../../src/objective/forward.ts';
import { createTangent } from '../../src/objective/tangent.ts';
import {
  CHOICE,
  CHOICES,
  FIXTURES,
  fixture,
  key,
  LM,
  micro,
  promptOf,
  type Small,
  smallKernels,
  windowOf,
} from '../objective/models.ts';

const DIRECTIONS: readonly Direction[] = [
  { kind: 'lowrank', rank: 1, scale: 1 },
  { kind: 'lowrank', rank: 3, scale: 1 / Math.sqrt(3) },
  { kind: 'rademacher', rank: 1, scale: 1 },
  { kind: 'binomial', rank: 1, scale: 0.5 },
];

/** Several samples, of several lengths. */
const examplesOf = (task: Task, vocabulary: number): Example[] =>
  [0, 1, 2].map((seed) => (task.kind === 'lm' ? windowOf(seed, vocabulary) : promptOf(seed, vocabulary, 3 + 4 * seed)));

/** ∇L · z by the backward pass, and the length of ∇L. */
async function byBackward(
  small: Small,
  task: Task,
  examples: readonly Example[],
  d: Direction,
  k: DirectionKey,
  kept: Kept,
) {
  const backward = createBackward(small.model, small.weights, interpreter);
  const batches = batchExamples(examples, small.model.positions);
  const { tensors } = await backward.gradient(batches, { task, choices: CHOICES }, everything);
  let [sum, square] = [0, 0];
  for (const spec of small.model.tensors) {
    const z = noise(spec, d.kind, d.rank, k);
    tensors.get(spec.name)!.forEach((g, i) => {
      if (kept(spec.id)) sum += g * z[i]! * d.scale;
      square += g * g;
    });
  }
  return { slope: sum, norm: Math.sqrt(square) };
}

const tangentOf = ({ model, weights }: Small, task: Task, engine = interpreter) => ({
  tangent: createTangent(model, weights, engine),
  task,
  choices: CHOICES,
  positions: model.positions,
});

describe.each([LM, CHOICE] as const)('task $kind', (task) => {
  describe.each(DIRECTIONS)('$kind of rank $rank', (direction) => {
    test.each(FIXTURES)('%s: a slope is ∇L · z, exactly', async (name) => {
      const small = await fixture(name, await smallKernels());
      const examples = examplesOf(task, small.model.vocabulary);
      const probes = [0, 1].map((i): Probe => ({ key: key(i), examples }));
      const engine = nodeEngine({ threads: 1 });
      const slopes = await forwardGradient(tangentOf(small, task, engine), direction, probes);
      for (const [i, slope] of slopes.entries()) {
        const expected = await byBackward(small, task, examples, direction, key(i), everything);
        expect(Math.abs(slope - expected.slope)).toBeLessThan(
          1e-5 * expected.norm * Math.sqrt(small.model.tensors.length),
        );
      }
    });

    test('it is the limit of SPSA: what they differ by falls with eps²', async () => {
      const small = await micro(referenceKernels());
      const probes = [{ key: key(2), examples: examplesOf(task, 9) }];
      const [slope] = await forwardGradient(tangentOf(small, task), direction, probes);
      const forward = createForward(small.model, small.weights, interpreter);
      const measurement = { forward, task, choices: CHOICES, positions: 16 };
      const apart = async (eps: number) => Math.abs((await spsa(measurement, direction, eps, probes))[0]! - slope!);
      const [far, near] = [await apart(0.04), await apart(0.01)];
      expect(near).toBeLessThan(far / 8);
    });

    test('tensors that are not kept do not move, and what comes before those that are has no tangent', async () => {
      const small = await fixture('llama-untied-grouped-linear', referenceKernels());
      const examples = examplesOf(task, small.model.vocabulary);
      const names = ['layers.1.mlp.up_proj', 'layers.1.input_layernorm', 'embed_tokens', 'lm_head'];
      for (const part of names) {
        const { id } = small.model.tensors.find(({ name }) => name.includes(part))!;
        const kept: Kept = (other) => other === id;
        const [slope] = await forwardGradient(tangentOf(small, task), direction, [{ key: key(5), examples }], kept);
        const expected = await byBackward(small, task, examples, direction, key(5), kept);
        expect(expected.slope, part).not.toBe(0);
        expect(Math.abs(slope! - expected.slope), part).toBeLessThan(1e-5 * expected.norm);
      }
    });
  });

  test('along nothing the slope is 0; of no probes there is none', async () => {
    const small = await micro(referenceKernels());
    const measurement = tangentOf(small, task);
    const probes = [{ key: key(2), examples: examplesOf(task, 9) }];
    expect([...(await forwardGradient(measurement, DIRECTIONS[0]!, probes, () => false))]).toEqual([0]);
    expect(await forwardGradient(measurement, DIRECTIONS[0]!, [])).toHaveLength(0);
  });
});
