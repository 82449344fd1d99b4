/** Adapters on the models of test/fixtures: the same logits as PEFT's, along both roads of a perturbation. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { PREFIX_KEY } from '../../src/model/adapter.ts';
import { capturing } from '../../src/model/model.ts';
import { keysAndValues } from '../../src/model/prefix.ts';
import type { Model } from '../../src/model/stage.ts';
import { viewOf } from '../../src/model/view.ts';
import { fixWeights, type Weights } from '../../src/model/weights.ts';
import type { Batch, Example } from '../../src/nouns.ts';
import { firstTokens } from '../../src/numeric/first.ts';
import type { Kept } from '../../src/numeric/mask.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { ALIGN } from '../../src/numeric/scratch.ts';
import { createForward, headOf, scratchLength } from '../../src/objective/forward.ts';
import type { Perturbation } from '../../src/objective/perturbation.ts';
import { ADAPTERS, CASES, type Opened, openCase, withAdapter } from '../model/adapters.ts';
import { readReference } from '../model/folder.ts';
import { shelfIn } from '../model/shelf.ts';
import { FIXTURES, fixture, key, LM, windowOf } from './models.ts';

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

const keptOf = ({ model }: Pick<Opened, 'model'>): Kept => {
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

/** Logits behind the last token. */
async function ends(model: Model, weights: Weights, ids: readonly number[]): Promise<number[]> {
  const forward = createForward(model, weights, interpreter);
  const [lane] = await forward.run([batchOf(ids, [ids.length - 1], [0])], { kind: 'logits' }, { kind: 'none' });
  return [...lane![0]!];
}

const SEED = 42;
const TEXT = [5, 60, 7, 7, 31];

/** Names of matrices to adapt, where they are not LLaMA's. */
const TARGETS: Readonly<Record<string, readonly string[]>> = {
  gpt2: ['c_attn'],
  bert: ['query', 'value'],
  roberta: ['query', 'value'],
};

describe.each(FIXTURES)('%s: what an adapter starts as', (name) => {
  test('LoRA as the base, and its A is noise', async () => {
    const lora = { rank: 2, alpha: 4, targets: TARGETS[name] ?? ['q_proj', 'v_proj'] };
    const { model, weights } = await withAdapter(name, { lora });
    const base = await fixture(name, referenceKernels());
    const own = await weights(referenceKernels());
    expect(await ends(model, own, TEXT)).toEqual(await ends(base.model, base.weights, TEXT));
    for (const tensor of model.adapter!.tensors) {
      const q = await own.visit(tensor, (page) => page.tensor(tensor).q.slice());
      expect(new Set(q).size === 1, tensor).toBe(tensor.endsWith('lora_B.weight'));
    }
  });
});

test.each(['bert', 'roberta'])(
  '%s: a prefix or a prompt is refused, as every token would have to see it',
  async (name) => {
    for (const view of [{ prefix: { tokens: 3 } }, { prompt: { tokens: 3 } }])
      await expect(withAdapter(name, view, undefined, SEED)).rejects.toThrow(/^MODEL_UNSUPPORTED: .*take adapter lora/);
  },
);

/** Prefixes and prompts are of causal models. */
const CAUSAL = FIXTURES.filter((name) => name !== 'bert' && name !== 'roberta');

describe.each(CAUSAL)('%s: what an adapter starts as', (name) => {
  test('a prefix and a prompt as the same text behind their tokens', async () => {
    const base = await fixture(name, referenceKernels());
    const tokens = firstTokens(SEED, base.model.vocabulary, 3);
    const expected = await ends(base.model, base.weights, [...tokens, ...TEXT]);
    const prompt = await withAdapter(name, { prompt: { tokens: 3 } }, undefined, SEED);
    expect(worst(await ends(prompt.model, await prompt.weights(referenceKernels()), TEXT), expected)).toBeLessThan(
      1e-5,
    );

    const { model, config, read } = await withAdapter(name, { prefix: { tokens: 3 } }, undefined, SEED);
    const added = new Set(model.adapter!.tensors);
    const rows = async (tensor: string, first = 0, count?: number) =>
      (await read(tensor)).subarray(first, count === undefined ? undefined : first + count);
    const shapes = new Map(model.tensors.flatMap((of) => (added.has(of.name) ? [] : [[of.name, of] as const])));
    const all = await keysAndValues(capturing(config, shapes), model.hidden, rows, interpreter, tokens);
    const first = new Map(
      model.blocks.flatMap(({ bindings }, i) =>
        bindings.flatMap(({ input, tensor }) => {
          const { keys, values } = all[i]!;
          return added.has(tensor) ? [[tensor, input.endsWith(PREFIX_KEY) ? keys : values] as const] : [];
        }),
      ),
    );
    expect([...first.keys()].sort()).toEqual([...added].sort());
    const weights = await fixWeights(model, shelfIn(referenceKernels(), model), async (tensor, from, count) =>
      (first.get(tensor) ?? (await read(tensor))).subarray(from, from + count),
    );
    expect(worst(await ends(model, weights, TEXT), expected)).toBeLessThan(1e-5);
    await expect(read(model.adapter!.tensors[0]!)).rejects.toThrow(/^MODEL_INVALID: .*adapter_model.safetensors/);
  });
});

test('an adapter that finds no place is refused', async () => {
  const lora = (...targets: string[]) => withAdapter('opt-tied', { lora: { rank: 1, alpha: 1, targets } });
  await expect(lora('q_proj', 'qproj')).rejects.toThrow(/^CONFIG_INVALID: target_modules: .* ends in "qproj"/);
  await expect(lora('proj')).rejects.toThrow(/"proj"/);
  await expect(lora('c_attn')).rejects.toThrow(/^CONFIG_INVALID: adapter: lora finds no place in this opt model/);
  await expect(lora('embed_tokens')).rejects.toThrow(/finds no place/);
  for (const kind of ['prefix', 'prompt'] as const)
    await expect(withAdapter('opt-tied', { [kind]: { tokens: 48 } } as never)).rejects.toThrow(
      /^CONFIG_INVALID: num_virtual_tokens: 48 leave no text of the 48 positions/,
    );
  const { model } = await withAdapter('opt-tied', { prompt: { tokens: 40 } });
  expect(model.positions).toBe(8);
});

test('in int8 the base is bytes and the adapter is not', async () => {
  for (const name of CASES) {
    const { model, weights } = await openCase(name);
    const forward = createForward(model, await weights(referenceKernels()), ort);
    const batches = batchExamples(pairs(EXAMPLES));
    const kept = keptOf({ model });
    const slopes = async (precision: 'f32' | 'int8'): Promise<number[]> => {
      const keys = [EXAMPLES.map((_, i) => key(i))];
      const p: Perturbation = { kind: 'sided', rank: 1, delta: 0.3, keys, kept, precision };
      const [lane] = await forward.run(batches, headOf(LM), p);
      const sum = (s: number) => lane![0]!.subarray(s * LM.window, (s + 1) * LM.window).reduce((a, b) => a + b, 0);
      return EXAMPLES.map((_, i) => sum(2 * i) - sum(2 * i + 1));
    };
    const [exact, rounded] = [await slopes('f32'), await slopes('int8')];
    const norm = (x: readonly number[]) => Math.hypot(...x);
    expect(norm(exact.map((x, i) => x - rounded[i]!)) / norm(exact), name).toBeLessThan(0.35);
    expect(rounded, name).not.toEqual(exact);
    await forward.release();
  }
});
