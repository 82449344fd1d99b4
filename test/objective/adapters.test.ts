/** Adapters on the models of test/fixtures: the same logits as PEFT's, along both roads of a perturbation. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { viewOf } from '../../src/model/view.ts';
import type { Batch, Example } from '../../src/nouns.ts';
import type { Kept } from '../../src/numeric/mask.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { ALIGN } from '../../src/numeric/scratch.ts';
import { createForward, headOf, scratchLength } from '../../src/objective/forward.ts';
import type { Perturbation } from '../../src/objective/perturbation.ts';
import { ADAPTERS, CASES, type Opened, openCase, withAdapter } from '../model/adapters.ts';
import { readReference } from '../model/folder.ts';
import { key, LM, windowOf } from './models.ts';

const ort = nodeEngine({ threads: 1 });

const batchOf = (ids: readonly number[], at: readonly number[], targets: readonly number[]): Batch => ({
  ...{ sequences: 1, tokens: ids.length, scored: at.length, ids: Int32Array.from(ids), at: Int32Array.from(at) },
  ...{ targets: Int32Array.from(targets), weights: new Float32Array(at.length).fill(1), members: Int32Array.of(0) },
  lengths: Int32Array.of(ids.length),
});

const worst = (got: ArrayLike<number>, expected: readonly number[]): number =>
  expected.reduce((most, x, i) => Math.max(most, Math.abs(x - (got[i] ?? Number.NaN))), 0);

describe.each([interpreter, ort])("PEFT's own logits, by $name", (engine) => {
  test.each(CASES)('%s', async (name) => {
    const { model, weights } = await openCase(name);
    const forward = createForward(model, await weights(referenceKernels()), engine);
    for (const { input_ids: ids, token_nll, first_logits, last_logits } of readReference(join(ADAPTERS, name))) {
      const T = ids.length;
      const [lane] = await forward.run([batchOf(ids, [0, T - 1], [0, 0])], { kind: 'logits' }, { kind: 'none' });
      const logits = lane![0]!;
      expect(worst(logits.subarray(0, model.vocabulary), first_logits!), 'first').toBeLessThan(1e-3);
      expect(worst(logits.subarray(model.vocabulary), last_logits), 'last').toBeLessThan(1e-3);
      if (T === 1) continue;
      const scored = ids.slice(0, -1).map((_, t) => t);
      const [nll] = await forward.run([batchOf(ids, scored, ids.slice(1))], { kind: 'lm' }, { kind: 'none' });
      expect(worst(nll![0]!, token_nll), 'nll').toBeLessThan(2e-4);
    }
    await forward.release();
  });
});

const keptOf = ({ model }: Opened): Kept => {
  const ids = new Set(viewOf(model, model.adapter!.view));
  return (id) => ids.has(id);
};

const pairs = <T>(list: readonly T[]): T[] => list.flatMap((one) => [one, one]);
const EXAMPLES: readonly Example[] = [0, 1, 2].map((seed) => windowOf(seed, 64));
const DELTA = 0.02;

/** Lanes of losses by example: L+ and L-. */
async function losses(opened: Opened, kind: 'sided' | 'dense', rank: number, kept: Kept): Promise<number[][]> {
  const forward = createForward(opened.model, await opened.weights(referenceKernels()), ort);
  const keys = EXAMPLES.map((_, i) => key(i));
  const both: number[][] = [];
  if (kind === 'sided') {
    const batches = batchExamples(pairs(EXAMPLES));
    const p: Perturbation = { kind, rank, delta: DELTA, keys: [keys], kept };
    const [lane] = await forward.run(batches, headOf(LM), p);
    for (let s = 0; s < 2 * EXAMPLES.length; s++) {
      const part = lane![0]!.subarray(s * LM.window, (s + 1) * LM.window);
      (both[s >> 1] ??= []).push(...part);
    }
  } else
    for (const [i, example] of EXAMPLES.entries()) {
      const p: Perturbation = { kind, noise: 'lowrank', rank, delta: DELTA, keys: [keys[i]!], kept };
      const [plus, minus] = await forward.run(batchExamples([example]), headOf(LM), p);
      both.push([...plus![0]!, ...minus![0]!]);
    }
  await forward.release();
  return both;
}

const apart = (a: readonly number[][], b: readonly number[][]): number =>
  Math.max(...a.flat().map((x, i) => Math.abs(x - b.flat()[i]!)));

describe.each(CASES)('%s', (name) => {
  test.each([1, 2])('rank %i: sides equal materialised copies, tensor by tensor', async (rank) => {
    const opened = await openCase(name);
    const all = keptOf(opened);
    const [a, b] = [await losses(opened, 'sided', rank, all), await losses(opened, 'dense', rank, all)];
    expect(apart(a, b)).toBeLessThan(1e-4);
    for (const id of viewOf(opened.model, opened.model.adapter!.view)) {
      const without = await losses(opened, 'sided', rank, (own) => all(own) && own !== id);
      expect(apart(without, b), opened.model.tensors[id]!.name).toBeGreaterThan(2e-4);
    }
  });

  test('scratch is what a call takes, to the float', async () => {
    const { model, weights } = await openCase(name);
    const kept: Kept = () => true;
    const perturbations: readonly Perturbation[] = [
      { kind: 'none' },
      { kind: 'dense', noise: 'binomial', rank: 1, delta: 0.01, keys: [key(0)], kept },
      { kind: 'sided', rank: 2, delta: 0.01, keys: [[key(0)]], kept },
      { kind: 'sided', rank: 1, delta: 0.01, keys: [[key(0)]], kept, precision: 'int8' },
    ];
    for (const perturbation of perturbations) {
      const example = windowOf(1, 64);
      const batches = batchExamples(perturbation.kind === 'sided' ? pairs([example]) : [example]);
      const length = scratchLength(model, [{ dims: batches[0]!, head: headOf(LM), perturbation }]);
      const run = async (floats: number) =>
        createForward(model, await weights(referenceKernels(), floats), interpreter).run(
          batches,
          headOf(LM),
          perturbation,
        );
      await expect(run(length), perturbation.kind).resolves.toBeDefined();
      await expect(run(length - ALIGN)).rejects.toThrow(/scratch holds \d+ floats, \d+ were asked for/);
    }
  });
});

describe('what stands still costs nothing', () => {
  test.each(CASES)('%s: sides of the adapter alone are inputs of a program', async (name) => {
    const { model } = await openCase(name);
    const dims = { sequences: 2, tokens: 4, scored: 1 };
    const own = new Set(model.adapter!.tensors);
    for (const stage of [model.embed, ...model.blocks, model.final]) {
      const inputs = stage.build(dims, { kind: 'sided', rank: 1 }).inputs.map((input) => input.name);
      const sides = inputs.filter((input) => /\.[uv]$/.test(input)).map((input) => input.slice(0, -2));
      const bound = new Map(stage.bindings.map(({ input, tensor }) => [input, tensor]));
      expect(sides.filter((input) => !own.has(bound.get(input)!))).toEqual([]);
      expect(stage.bindings.filter(({ still }) => !still).map(({ tensor }) => own.has(tensor))).not.toContain(false);
    }
  });
});

test('LoRA starts as the base, a prompt as the tokens it is made of', async () => {
  const plain = await withAdapter('opt-tied', { lora: { rank: 2, alpha: 4, targets: ['q_proj'] } });
  const example = windowOf(3, 64);
  const nll = async ({ model, weights }: Opened, of: Example): Promise<number[]> => {
    const [lane] = await createForward(model, await weights(referenceKernels()), interpreter).run(
      batchExamples([of]),
      headOf(LM),
      { kind: 'none' },
    );
    return [...lane![0]!];
  };
  const { model, weights } = plain;
  const base = { ...plain, model: { ...model, embed: model.embed } };
  const start = await nll(base, example);
  const { fixture } = await import('./models.ts');
  const bare = await fixture('opt-tied', referenceKernels());
  expect(start).toEqual(await nll({ ...plain, model: bare.model, weights: async () => bare.weights }, example));
  const q = await (await weights(referenceKernels())).visit(model.adapter!.tensors[0]!, (page) =>
    page.tensor(model.adapter!.tensors[0]!).q.slice(),
  );
  expect(new Set(q).size).toBeGreaterThan(20);
});
