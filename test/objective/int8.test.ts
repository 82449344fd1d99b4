/**
 * Probes measured with bytes: near those of floats where eps is large enough to stand out of the rounding, and, like
 * them, a fact about a sample and not about its company.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import { type Measurement, type Probe, spsa } from '../../src/estimator/spsa.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import type { Direction, Example, Precision, Task } from '../../src/nouns.ts';
import type { Kernels } from '../../src/numeric/kernels.ts';
import { everything } from '../../src/numeric/mask.ts';
import { createForward, type Forward, headOf } from '../../src/objective/forward.ts';
import { CHOICE, CHOICES, fixture, key, LM, promptOf, smallKernels, windowOf } from './models.ts';

const V = 64;
const RANK_1: Direction = { kind: 'lowrank', rank: 1, scale: 1 };
const TASKS: readonly (readonly [Task['kind'], Task, readonly Example[]])[] = [
  ['lm', LM, Array.from({ length: 60 }, (_, i) => windowOf(i, V, 4 + (i % 3)))],
  ['choice', CHOICE, Array.from({ length: 60 }, (_, i) => promptOf(i, V, 1 + ((7 * i) % 30)))],
];

const correlation = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  const dot = (x: ArrayLike<number>, y: ArrayLike<number>) =>
    Array.from(x, (xi, i) => xi * y[i]!).reduce((s, v) => s + v);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
};

const opened: Forward[] = [];
afterAll(async () => {
  for (const forward of opened) await forward.release();
});

async function measurementOn(name: string, task: Task, kernels: Kernels): Promise<(p: Precision) => Measurement> {
  const { model, weights } = await fixture(name, kernels);
  const forward = createForward(model, weights, nodeEngine({ threads: 1 }));
  opened.push(forward);
  return (precision) => ({ forward, task, choices: CHOICES, positions: 48, precision });
}

const probesOf = (examples: readonly Example[]): Probe[] =>
  examples.map((own, i) => ({ key: key(i), examples: [own] }));

describe.each(['opt-tied', 'llama-untied-grouped-linear', 'llama-yarn-biases', 'gpt2', 'roberta'])('%s', (name) => {
  test.each(TASKS)(
    'slopes in int8 are those of f32 and some noise, which eps drowns: %s',
    async (_, task, examples) => {
      const on = await measurementOn(name, task, await smallKernels());
      const compared = async (eps: number) => {
        const [exact, bytes] = [
          await spsa(on('f32'), RANK_1, eps, probesOf(examples)),
          await spsa(on('int8'), RANK_1, eps, probesOf(examples)),
        ];
        return correlation(exact, bytes);
      };
      const [near, far] = [await compared(1e-2), await compared(1e-4)];
      expect(near).toBeGreaterThan(0.98);
      expect(near, 'it is not f32 under another name').toBeLessThan(1 - 1e-6);
      expect(far).toBeLessThan(0.9);
    },
  );

  test.each(TASKS)('the slope of a probe does not depend on its company: %s', async (_, task, examples) => {
    const m = (await measurementOn(name, task, await smallKernels()))('int8');
    const probes = probesOf(examples);
    const together = await spsa(m, RANK_1, 1e-2, probes);
    expect(new Set(together).size, 'the slopes differ, so a mix-up would show').toBeGreaterThan(50);
    const backwards = await spsa(m, RANK_1, 1e-2, probes.toReversed());
    expect(backwards.toReversed()).toEqual(together);
    for (const [i, probe] of probes.slice(0, 12).entries())
      expect((await spsa(m, RANK_1, 1e-2, [probe]))[0]).toBe(together[i]);
  });
});

test('a weight is made a byte once for all batches of a group, and a choice once a batch', async () => {
  const kernels = await smallKernels();
  let made = 0;
  const counting: Kernels = {
    ...kernels,
    quantiseRows: (q, columns, exponent, out, scale) => {
      made += q.length;
      kernels.quantiseRows(q, columns, exponent, out, scale);
    },
  };
  const { model, weights } = await fixture('opt-tied', counting);
  const forward = createForward(model, weights, interpreter);
  const batches = batchExamples(Array.from({ length: 24 }, (_, i) => promptOf(i, V, 5)));
  expect(batches).toHaveLength(3);
  await forward.run(batches, headOf(CHOICE), { kind: 'none', precision: 'int8' }, CHOICES);
  const matrices = model.blocks.flatMap(({ bindings }) =>
    bindings.filter(({ access }) => access.as === 'matrix').map(({ tensor }) => tensor),
  );
  const sizes = matrices.map((own) => model.tensors.find((t) => t.name === own)!.shape.reduce((a, b) => a * b));
  expect(made).toBe(sizes.reduce((a, b) => a + b) + batches.length * CHOICES.length * model.hidden);
});

test('what comes before the first weight that moves is in bytes too: both sides start from the same numbers', async () => {
  const { model, weights } = await fixture('opt-tied', await smallKernels());
  const forward = createForward(model, weights, nodeEngine({ threads: 1 }));
  opened.push(forward);
  const batches = batchExamples([windowOf(1, V), windowOf(1, V)]);
  const [last] = model.blocks.at(-1)!.bindings.map(({ tensor }) => model.tensors.find((t) => t.name === tensor)!.id);
  const losses = async (kept: (id: number) => boolean) => {
    const p = { kind: 'sided', rank: 1, delta: 0, keys: [[key(0)]], kept, precision: 'int8' } as const;
    return (await forward.run(batches, headOf(LM), p, CHOICES))[0]![0]!;
  };
  expect(await losses((id) => id === last)).toEqual(await losses(everything));
});

test('a dense direction is refused: its eps would be lost in the rounding', async () => {
  const m = (await measurementOn('opt-tied', CHOICE, await smallKernels()))('int8');
  const dense = spsa(m, { kind: 'rademacher', rank: 1, scale: 1 }, 1e-2, probesOf(TASKS[1]![2]));
  await expect(dense).rejects.toThrow('"precision" expected f32 with direction rademacher, got int8');
});
