/**
 * Two paths perturb weights: low-rank sides beside the products, and whole copies in scratch. Along one direction both
 * must measure the same losses; and the comparison must notice when either path forgets any tensor.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import type { Weights } from '../../src/model/weights.ts';
import type { Example, Task } from '../../src/nouns.ts';
import type { Kernels } from '../../src/numeric/kernels.ts';
import { everything } from '../../src/numeric/mask.ts';
import { U_STREAM } from '../../src/numeric/noise.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { createForward, headOf } from '../../src/objective/forward.ts';
import { sequenceLosses } from '../../src/objective/loss.ts';
import type { Perturbation } from '../../src/objective/perturbation.ts';
import type { Engine, Program } from '../../src/ports.ts';
import { CHOICE, CHOICES, FIXTURES, fixture, key, LM, promptOf, type Small, windowOf } from './models.ts';

const V = 64;
/** Large, so that every tensor shows. */
const DELTA = 0.02;
/** What f32 leaves of losses of a few nats, computed along two roads. */
const TOLERANCE = 2e-5;
const KEYS = [key(0), key(1), key(2)];

const SAMPLES: readonly (readonly [Task['kind'], Task, readonly Example[]])[] = [
  ['lm', LM, KEYS.map((_, i) => windowOf(i, V))],
  ['choice', CHOICE, KEYS.map((_, i) => promptOf(i, V, 6 + i))],
];

/** ONNX Runtime that compiles a program once: the forward passes of this file differ in their weights only. */
const compiled = new Map<string, Promise<Program>>();
const ort = nodeEngine({ threads: 1 });
const engine: Engine = {
  name: 'cached',
  compile(graph) {
    const text = JSON.stringify([graph.inputs, graph.nodes, graph.constants.map(({ data }) => [...data])]);
    const program = compiled.get(text) ?? ort.compile(graph);
    compiled.set(text, program);
    return program;
  },
};
afterAll(async () => {
  for (const program of compiled.values()) await (await program).release();
});

/** Losses of sequences, in the order of the batches. */
async function losses({ model }: Small, weights: Weights, task: Task, examples: readonly Example[], p: Perturbation) {
  const forward = createForward(model, weights, engine);
  const batches = batchExamples(examples);
  const lanes = await forward.run(batches, headOf(task), p, CHOICES);
  return lanes.map((outputs) => batches.flatMap((batch, i) => [...sequenceLosses(task, batch, outputs[i]!)]));
}

/** L+, L- of each sample along its own direction: all in one call. */
async function beside(small: Small, weights: Weights, task: Task, examples: readonly Example[], rank: number) {
  const twice = examples.flatMap((example) => [example, example]);
  const keys = batchExamples(twice)
    .map(({ members }) => members.filter((m) => m % 2 === 0))
    .map((m) => Array.from(m, (i) => KEYS[i >> 1]!));
  const [all] = await losses(small, weights, task, twice, {
    kind: 'sided',
    rank,
    delta: DELTA,
    keys,
    kept: everything,
  });
  return examples.map((_, i) => all!.slice(2 * i, 2 * i + 2));
}

/** The same, a call for each. */
async function materialised(small: Small, weights: Weights, task: Task, examples: readonly Example[], rank: number) {
  const pairs: number[][] = [];
  for (const [i, example] of examples.entries()) {
    const p: Perturbation = {
      kind: 'dense',
      noise: 'lowrank',
      rank,
      delta: DELTA,
      keys: [KEYS[i]!],
      kept: everything,
    };
    const [plus, minus] = await losses(small, weights, task, [example], p);
    pairs.push([plus![0]!, minus![0]!]);
  }
  return pairs;
}

const apart = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number =>
  Math.max(...a.flatMap((pair, i) => pair.map((x, side) => Math.abs(x - b[i]![side]!))));

/** Kernels that give tensor `id` no noise. */
const without = (id: number, kernels: Kernels): Kernels => ({
  ...kernels,
  materialisePair: (q, e, tensor, kind, rank, key, delta, first, plus, minus) =>
    kernels.materialisePair(q, e, tensor, kind, rank, key, tensor.id === id ? 0 : delta, first, plus, minus),
  factors: (stream, rank, tensor, keys, plus, minus, first, out) => {
    const none = tensor === id && stream === U_STREAM;
    kernels.factors(stream, rank, tensor, keys, none ? 0 : plus, none ? 0 : minus, first, out);
  },
  factorAt: (stream, k, tensor, key, value, index, out) =>
    kernels.factorAt(stream, k, tensor, key, tensor === id ? 0 : value, index, out),
});

describe.each(FIXTURES)('%s', (name) => {
  test.each(SAMPLES.flatMap(([kind, task, examples]) => [1, 2].map((rank) => [kind, rank, task, examples] as const)))(
    '%s, rank %i: sides equal materialised copies',
    async (_, rank, task, examples) => {
      const small = await fixture(name, referenceKernels());
      const [a, b] = [
        await beside(small, small.weights, task, examples, rank),
        await materialised(small, small.weights, task, examples, rank),
      ];
      expect(apart(a, b)).toBeLessThan(TOLERANCE);
      const shown = Math.max(...a.map(([plus, minus]) => Math.abs(plus! - minus!)));
      expect(shown, 'the directions show').toBeGreaterThan(500 * TOLERANCE);
    },
  );

  test.each(SAMPLES)('%s: a tensor that is left out of one path shows', async (_, task, examples) => {
    const small = await fixture(name, referenceKernels());
    const { weights, model } = small;
    const a = await beside(small, weights, task, examples, 1);
    const b = await materialised(small, weights, task, examples, 1);
    for (const { name: tensor, id } of model.tensors) {
      const less: Weights = {
        ...weights,
        visit: (own, work) => weights.visit(own, (page) => work({ ...page, kernels: without(id, page.kernels) })),
      };
      // A bias of the keys moves all scores of a query alike, which softmax does not see, unless rotation turns it.
      if (/(k_proj|self\.key)\.bias$/.test(tensor) && !name.startsWith('llama')) continue;
      expect(apart(await beside(small, less, task, examples, 1), b), `${tensor}, beside`).toBeGreaterThan(
        2 * TOLERANCE,
      );
      expect(apart(a, await materialised(small, less, task, examples, 1)), `${tensor}, whole`).toBeGreaterThan(
        2 * TOLERANCE,
      );
    }
  });
});
