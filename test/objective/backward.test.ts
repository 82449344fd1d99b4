/**
 * The gradient of a model against calculus: differences of a forward pass in doubles, of another text than the one that
 * is differentiated (all logits at once, no pieces).
 */
import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import type { Batch, Task } from '../../src/nouns.ts';
import { everything, type Kept } from '../../src/numeric/mask.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { backwardFloats, createBackward, type Gradient } from '../../src/objective/backward.ts';
import { createForward, headOf } from '../../src/objective/forward.ts';
import { sequenceLosses } from '../../src/objective/loss.ts';
import type { Engine } from '../../src/ports.ts';
import { expectClose, uniform } from '../suites/arrays.ts';
import { type Doubles, doublesOf, losses, slope } from './doubles.ts';
import {
  CHOICE,
  CHOICES,
  FIXTURES,
  fixture,
  LM,
  micro,
  promptOf,
  type Small,
  smallKernels,
  windowOf,
} from './models.ts';

/** Prompts of several lengths, hence padded; windows; and more batches than a group. */
const batchesOf = (task: Task, vocabulary: number, positions: number): Batch[] =>
  batchExamples(
    task.kind === 'lm'
      ? [0, 1, 2].map((seed) => windowOf(seed, vocabulary))
      : [5, 9, 10, 3, 3, 13, 16].map((length, seed) => promptOf(seed, vocabulary, length)),
    positions,
  );

const TASKS: readonly (readonly [string, Task])[] = [
  ['lm', LM],
  ['choice', CHOICE],
];

const norm = (g: Gradient): number =>
  Math.sqrt([...g.tensors.values()].reduce((sum, part) => part.reduce((s, x) => s + x * x, sum), 0));

/** Mean loss in doubles with `tensor` moved by t · z. */
const along =
  ({ model }: Small, weights: Doubles, task: Task, batches: readonly Batch[], tensor: string, z: ArrayLike<number>) =>
  (t: number): number => {
    const moved = new Map(weights).set(
      tensor,
      weights.get(tensor)!.map((w, i) => w + t * z[i]!),
    );
    const all = batches.flatMap((batch) => [...losses(model, moved, task, CHOICES, batch)]);
    return all.reduce((a, b) => a + b, 0) / all.length;
  };

describe.each(TASKS)('task %s: two hundred weights, one by one', (_, task) => {
  test.each([interpreter, nodeEngine({ threads: 1 })])('$name', async (engine) => {
    const small = await micro(referenceKernels());
    const backward = createBackward(small.model, small.weights, engine);
    const batches = batchesOf(task, 9, 16);
    const found = await backward.gradient(batches, { task, choices: CHOICES }, everything);
    const weights = await doublesOf(small.weights);
    for (const [name, g] of found.tensors) {
      const expected = Float64Array.from(g, (_, i) => {
        const unit = Float64Array.from(g, (_, j) => (i === j ? 1 : 0));
        return slope(along(small, weights, task, batches, name, unit));
      });
      expectClose(g, expected, 2e-6 * norm(found), name);
    }
    await backward.release();
  });
});

describe.each(TASKS)('task %s, tied and separate heads, grouped heads, biases, learned positions', (_, task) => {
  test.each(FIXTURES)('%s: the slope along each tensor is gradient · direction', async (name) => {
    const small = await fixture(name, await smallKernels());
    const engine = nodeEngine({ threads: 1 });
    const backward = createBackward(small.model, small.weights, engine);
    const batches = batchesOf(task, small.model.vocabulary, small.model.positions);
    const found = await backward.gradient(batches, { task, choices: CHOICES }, everything);
    const weights = await doublesOf(small.weights);
    expect([...found.tensors.keys()]).toEqual(small.model.tensors.map((spec) => spec.name));
    for (const [i, [tensor, g]] of [...found.tensors].entries()) {
      const z = uniform(i, g.length);
      const expected = slope(along(small, weights, task, batches, tensor, z));
      const got = g.reduce((sum, x, j) => sum + x * z[j]!, 0);
      expect(Math.abs(got - expected), tensor).toBeLessThan(1e-5 * norm(found));
    }
    await backward.release();
  });
});

describe('on two hundred weights', () => {
  const gradientOf = async (small: Small, task: Task, batches: readonly Batch[], wanted: Kept = everything) => {
    const backward = createBackward(small.model, small.weights, interpreter);
    return backward.gradient(batches, { task, choices: CHOICES }, wanted);
  };
  const mean = (parts: readonly Gradient[], name: string): Float64Array =>
    Float64Array.from(parts[0]!.tensors.get(name)!, (_, i) =>
      parts.reduce((sum, { tensors }) => sum + tensors.get(name)![i]! / parts.length, 0),
    );

  test.each(TASKS)('task %s: losses are those of a forward pass, bit for bit', async (_, task) => {
    const small = await micro(referenceKernels());
    const batches = batchesOf(task, 9, 16);
    const forward = createForward(small.model, small.weights, interpreter);
    const [outputs] = await forward.run(batches, headOf(task), { kind: 'none' }, CHOICES);
    const { losses: got } = await gradientOf(small, task, batches);
    expect(got).toEqual(batches.map((batch, i) => sequenceLosses(task, batch, outputs![i]!)));
  });

  test('a head in pieces: the softmax is that of the whole vocabulary', async () => {
    const small = await micro(referenceKernels(), 4100);
    expect(small.model.head({ kind: 'lm' })).toHaveLength(2);
    const window = windowOf(3, 4100, 4);
    window.targets.set([4099, 4098, 17, 4097]); // on both sides of the cut
    const batches = batchExamples([window], 16);
    const found = await gradientOf(small, { kind: 'lm', window: 4 }, batches);
    const weights = await doublesOf(small.weights);
    for (const [i, [name, g]] of [...found.tensors].entries()) {
      const z = uniform(i, g.length);
      const expected = slope(along(small, weights, { kind: 'lm', window: 4 }, batches, name, z));
      const got = g.reduce((sum, x, j) => sum + x * z[j]!, 0);
      expect(Math.abs(got - expected), name).toBeLessThan(1e-5 * norm(found));
    }
  });

  test('of many batches it is the mean of theirs', async () => {
    const small = await micro(referenceKernels());
    const batches = Array.from({ length: 11 }, (_, i) => batchExamples([windowOf(i, 9)], 16)).flat();
    const whole = await gradientOf(small, LM, batches);
    const parts = await Promise.all(batches.map((batch) => gradientOf(small, LM, [batch])));
    for (const [name, g] of whole.tensors) expectClose(g, mean(parts, name), 1e-6 * norm(whole), name);
    expect(whole.losses).toEqual(parts.flatMap(({ losses: own }) => own));
  });

  test('shares weigh sequences: a share of 0 is as if it were not there', async () => {
    const small = await micro(referenceKernels());
    const examples = [windowOf(0, 9), windowOf(1, 9), windowOf(2, 9)];
    const backward = createBackward(small.model, small.weights, interpreter);
    const objective = { task: LM, choices: CHOICES };
    const batches = batchExamples(examples, 16);
    const weighed = await backward.gradient(batches, { ...objective, shares: [Float64Array.of(0, 3, -1)] }, everything);
    const [, b, c] = await Promise.all(examples.map((one) => gradientOf(small, LM, batchExamples([one], 16))));
    for (const [name, g] of weighed.tensors) {
      const expected = g.map((_, i) => 3 * b!.tensors.get(name)![i]! - c!.tensors.get(name)![i]!);
      expectClose(g, expected, 1e-6 * norm(weighed), name);
    }
  });

  test.each(TASKS)(
    'task %s: of some tensors it is the same numbers, and nothing is gone back through in vain',
    async (_, task) => {
      const small = await fixture('llama-untied-grouped-linear', referenceKernels());
      const batches = batchesOf(task, small.model.vocabulary, small.model.positions).slice(0, 1);
      const whole = await gradientOf(small, task, batches);
      const { model } = small;
      const last = `layers.${model.blocks.length - 1}.`;
      const subsets: [(name: string) => boolean, readonly string[]][] = [
        [(name) => name.includes('lm_head'), ['head']],
        [(name) => name.endsWith('model.norm.weight'), ['head', 'final']],
        [(name) => name.includes(`${last}self_attn.q_proj`), ['head', 'final', 'block']],
        [(name) => name.includes('embed_tokens'), ['head', 'final', ...model.blocks.map(() => 'block'), 'embed']],
      ];
      for (const [isWanted, pulled] of subsets) {
        const ids = new Set(model.tensors.filter(({ name }) => isWanted(name)).map(({ id }) => id));
        const runs: string[] = [];
        const watched: Engine = {
          name: 'watched',
          async compile(graph) {
            const program = await interpreter.compile(graph);
            const run: typeof program.run = (...io) => {
              runs.push(graph.name);
              return program.run(...io);
            };
            return { ...program, run };
          },
        };
        const backward = createBackward(model, small.weights, watched);
        const part = await backward.gradient(batches, { task, choices: CHOICES }, (id) => ids.has(id));
        expect([...part.tensors.keys()].length).toBe(1);
        for (const [name, g] of part.tensors) expect(g, name).toEqual(whole.tensors.get(name));
        const back = runs.filter((name) => name.endsWith('vjp')).map((name) => name.split(/[ ,]/)[1]);
        expect(back.map((name) => (/^(lm|choice)/.test(name!) ? 'head' : name))).toEqual(pulled);
      }
    },
  );

  test.each(TASKS)('task %s: keeps as many activations as it says', async (_, task) => {
    const small = await fixture('opt-tied', referenceKernels());
    const batches = Array.from({ length: 6 }, (_, i) =>
      batchExamples([task.kind === 'lm' ? windowOf(i, 64) : promptOf(i, 64, 7)]),
    ).flat();
    const seen = new Set<ArrayBufferLike>();
    const watched: Engine = {
      name: 'watched',
      async compile(graph) {
        const program = await interpreter.compile(graph);
        const run: typeof program.run = (feeds, outputs) => {
          const isOurs = (name: string) => ['x', 'x.bar', 'y', 'y.bar'].includes(name) || name.endsWith('.kept');
          for (const [name, array] of [...Object.entries(feeds), ...Object.entries(outputs)])
            if (isOurs(name)) seen.add(array.buffer);
          return program.run(feeds, outputs);
        };
        return { ...program, run };
      },
    };
    const backward = createBackward(small.model, small.weights, watched);
    await backward.gradient(batches, { task, choices: CHOICES }, (id) => id === 0);
    const floats = [...seen].reduce((sum, { byteLength }) => sum + byteLength / 4, 0);
    expect(floats).toBe(backwardFloats(small.model, batches[0]!, batches.length, headOf(task)));
  });

  test('in arrays of a gradient that is no longer needed it is the same bits', async () => {
    const small = await fixture('opt-tied', referenceKernels());
    const backward = createBackward(small.model, small.weights, interpreter);
    for (const [task, choices] of [
      [LM, new Int32Array(0)],
      [CHOICE, CHOICES],
    ] as const) {
      const batches = batchesOf(task, small.model.vocabulary, small.model.positions);
      const fresh = await backward.gradient(batches, { task, choices }, everything);
      const used = new Map([...fresh.tensors].map(([name, { length }]) => [name, new Float32Array(length).fill(7)]));
      const again = await backward.gradient(batches, { task, choices }, everything, used);
      expect(again).toEqual(fresh);
      for (const [name, g] of again.tensors) expect(g, name).toBe(used.get(name));
    }
  });

  test('is the same bits every time, whatever the memory held before', async () => {
    const small = await fixture('opt-tied', await smallKernels());
    const backward = createBackward(small.model, small.weights, nodeEngine({ threads: 2 }));
    const batches = batchesOf(LM, small.model.vocabulary, small.model.positions);
    const once = () => backward.gradient(batches, { task: LM, choices: CHOICES }, everything);
    const first = await once();
    await backward.gradient(batchesOf(CHOICE, 64, 16), { task: CHOICE, choices: CHOICES }, everything);
    expect(await once()).toEqual(first);
    await backward.release();
  });
});
