/**
 * SPSA against calculus: on a model of two hundred weights the gradient is known, by finite differences of an
 * independent forward pass in floats. Scale, sign and eps of every kind of direction show in one number.
 */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { applyRound } from '../../src/apply/apply.ts';
import { type Measurement, type Probe, spsa } from '../../src/estimator/spsa.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import type { Weights } from '../../src/model/weights.ts';
import type { Direction, Example, Task } from '../../src/nouns.ts';
import { decodeSlope, encodeSlope, SCALE_UNIT } from '../../src/numeric/byte.ts';
import { direction as noise } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { createForward } from '../../src/objective/forward.ts';
import { crossEntropy } from '../../src/objective/loss.ts';
import { forward as plainForward } from '../model/forward.ts';
import { integersOf } from '../model/shelf.ts';
import {
  CHOICE,
  CHOICES,
  fixture,
  key,
  LM,
  micro,
  promptOf,
  type Small,
  smallKernels,
  windowOf,
} from '../objective/models.ts';

const V = 9;
const DIRECTIONS: readonly Direction[] = [
  { kind: 'lowrank', rank: 1, scale: 1 },
  { kind: 'lowrank', rank: 2, scale: Math.SQRT1_2 },
  { kind: 'rademacher', rank: 1, scale: 1 },
  { kind: 'binomial', rank: 1, scale: 0.5 },
];
const TASKS: readonly (readonly [Task['kind'], Task, Example])[] = [
  ['lm', LM, windowOf(5, V)],
  ['choice', CHOICE, promptOf(4, V, 7)],
];

type Floats = ReadonlyMap<string, Float32Array>;

/** Loss in f32 weights, by the forward pass of the model's own tests. */
async function lossOf({ model }: Small, weights: Floats, task: Task, example: Example): Promise<number> {
  const { tokens, at, targets } = example;
  const output = await plainForward(interpreter, model, {
    dims: { sequences: 1, tokens: tokens.length, scored: at.length },
    form: { kind: 'plain' },
    head: task.kind === 'lm' ? { kind: 'lm' } : { kind: 'choice', choices: CHOICES.length },
    ids: [...tokens],
    at: [...at],
    targets: [...targets],
    choices: [...CHOICES],
    weight: (name) => weights.get(name)!,
  });
  return task.kind === 'lm' ? output.reduce((a, b) => a + b, 0) / task.window : crossEntropy(output, targets[0]!);
}

async function floatsOf(weights: Weights): Promise<Floats> {
  const integers = await integersOf(weights);
  return new Map(
    weights.tensors.map(({ name, exponent }, i) => [name, Float32Array.from(integers[i]!, (x) => x * 2 ** exponent)]),
  );
}

/** ∇L by central differences, one weight after the other. */
async function gradient(small: Small, task: Task, example: Example): Promise<Map<string, Float64Array>> {
  const H = 2 ** -6;
  const weights = await floatsOf(small.weights);
  const found = new Map<string, Float64Array>();
  for (const [name, w] of weights) {
    const g = new Float64Array(w.length);
    for (let i = 0; i < w.length; i++) {
      const at = async (h: number) => {
        const moved = w.slice();
        moved[i]! += h;
        return lossOf(small, new Map(weights).set(name, moved), task, example);
      };
      // Two steps, extrapolated: what is left is of order H^4.
      const [near, far] = [(await at(H)) - (await at(-H)), (await at(2 * H)) - (await at(-2 * H))];
      g[i] = (8 * near - far) / (12 * H);
    }
    found.set(name, g);
  }
  return found;
}

/** g · z along a unit-variance direction. */
const along = (g: Map<string, Float64Array>, { tensors }: Weights, d: Direction, k = key(0)): number => {
  let sum = 0;
  for (const tensor of tensors)
    noise(tensor, d.kind, d.rank, k).forEach((z, i) => {
      sum += g.get(tensor.name)![i]! * z;
    });
  return sum * d.scale;
};

/** Small against what bends, large against the rounding of a loss. */
const EPS = 2e-3;

describe.each(TASKS)('task %s', (_, task, example) => {
  let small: Small;
  let measurement: Measurement;
  let g: Map<string, Float64Array>;
  let norm2 = 0;
  beforeAll(async () => {
    small = await micro(referenceKernels());
    const forward = createForward(small.model, small.weights, interpreter);
    measurement = { forward, task, choices: CHOICES, positions: 16 };
    g = await gradient(small, task, example);
    for (const part of g.values()) for (const x of part) norm2 += x * x;
  });
  const probes = (count: number): Probe[] =>
    Array.from({ length: count }, (_, i) => ({ key: key(i), examples: [example] }));

  describe.each(DIRECTIONS)('$kind of rank $rank', (direction) => {
    test('a slope is ∇L · z', async () => {
      const slopes = await spsa(measurement, direction, EPS, probes(12));
      for (const [i, slope] of slopes.entries())
        expect(Math.abs(slope - along(g, small.weights, direction, key(i)))).toBeLessThan(0.01 * Math.sqrt(norm2));
    });

    test('a slope hardly depends on eps', async () => {
      const [a] = await spsa(measurement, direction, EPS, probes(1));
      const [b] = await spsa(measurement, direction, EPS / 4, probes(1));
      expect(Math.abs(a! - b!)).toBeLessThan(0.01 * Math.sqrt(norm2));
    });

    test('directions have unit variance: slope · z is ∇L on average', async () => {
      const COUNT = 400;
      const slopes = await spsa(measurement, direction, EPS, probes(COUNT));
      let share = 0; // of ∇L in the mean of slope · z
      for (const [i, slope] of slopes.entries()) share += (slope * along(g, small.weights, direction, key(i))) / norm2;
      // Squares of projections have relative deviation sqrt(2) or, for rank 1 with its heavier tails, somewhat more.
      expect(Math.abs(share / COUNT - 1)).toBeLessThan((4 * 2) / Math.sqrt(COUNT));
    });

    test('a step along -g z through a byte lowers the loss by rate · slope²', async () => {
      const { weights } = await micro(referenceKernels());
      const [slope] = await spsa(measurement, direction, EPS, probes(1));
      const scale = Math.ceil(Math.abs(slope!) / 100 / SCALE_UNIT);
      const code = encodeSlope(slope!, scale, 127);
      const rate = 1e-3;
      const header = { round: 3, usable: 1, gain: rate * direction.scale, scale, clip: 127 };
      const { run } = key(0);
      await applyRound(weights, direction, run, {
        header,
        segments: [{ slot: 0, from: 0, codes: Int8Array.of(code) }],
      });
      const before = await lossOf(small, await floatsOf(small.weights), task, example);
      const after = await lossOf(small, await floatsOf(weights), task, example);
      const expected = -rate * decodeSlope(code, scale) * slope!;
      expect(after - before).toBeLessThan(0);
      expect(Math.abs((after - before) / expected - 1)).toBeLessThan(0.1);
    });
  });

  test('the slope of many samples is the mean of theirs', async () => {
    for (const direction of DIRECTIONS) {
      const others = task.kind === 'lm' ? [windowOf(8, V), windowOf(9, V)] : [promptOf(2, V, 3), promptOf(3, V, 12)];
      const examples = [example, ...others];
      const [together] = await spsa(measurement, direction, EPS, [{ key: key(1), examples }]);
      const apart = await spsa(
        measurement,
        direction,
        EPS,
        examples.map((one) => ({ key: key(1), examples: [one] })),
      );
      expect(together).toBeCloseTo(apart.reduce((a, b) => a + b, 0) / 3, 12);
    }
  });
});

test('a loss that is not a number gives a slope that is none, and leaves its neighbours alone', async () => {
  const small = await micro(referenceKernels());
  const forward = createForward(small.model, small.weights, interpreter);
  // A target outside the vocabulary would be refused, so the head itself says NaN for one class.
  const measurement: Measurement = {
    forward: {
      ...forward,
      run: async (batches, ...rest) => {
        const outputs = await forward.run(batches, ...rest);
        for (const [first] of outputs) if (first) first[2] = Number.NaN;
        return outputs;
      },
    },
    task: CHOICE,
    choices: CHOICES,
    positions: 16,
  };
  const probes = [0, 1, 2].map((i): Probe => ({ key: key(i), examples: [promptOf(i, V, 4)] }));
  const slopes = await spsa(measurement, DIRECTIONS[0]!, EPS, probes);
  expect([...slopes].map(Number.isNaN)).toEqual([true, false, false]);
  expect(await spsa(measurement, DIRECTIONS[0]!, EPS, [])).toHaveLength(0);
});

describe('no measurement changes a bit of the weights', () => {
  const arbitrary = fc.record({
    direction: fc.constantFrom(...DIRECTIONS),
    task: fc.constantFrom(...TASKS),
    name: fc.constantFrom('opt-tied', 'llama-yarn-biases'),
    eps: fc.constantFrom(1e-4, 1e-3, 0.5, 1e30),
    samples: fc.integer({ min: 1, max: 3 }),
  });
  test.each(['reference', 'wasm'] as const)('%s kernels', async (which) => {
    const kernels = which === 'wasm' ? smallKernels : async () => referenceKernels();
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ direction, task: [kind, task], name, eps, samples }) => {
        const { model, weights } = await fixture(name, await kernels());
        const before = await integersOf(weights);
        const forward = createForward(model, weights, interpreter);
        const examples = Array.from({ length: samples }, (_, i) =>
          kind === 'lm' ? windowOf(i, 64, 3) : promptOf(i, 64, 3),
        );
        const measurement = { forward, task, choices: CHOICES, positions: 48 };
        await spsa(measurement, direction, eps, [{ key: key(samples), examples }]);
        expect(await integersOf(weights)).toEqual(before);
      }),
      { numRuns: 12, seed: 1 },
    );
  });
});
