/**
 * Texts that are written with keys and values kept, a token at a time, must be those that whole passes write: alone, in
 * company, and on both sides of a direction.
 */
import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { causalMask, causalMasks } from '../../src/model/attention.ts';
import type { Model } from '../../src/model/stage.ts';
import type { Batch } from '../../src/nouns.ts';
import { everything } from '../../src/numeric/mask.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { type Cache, emptyCache, grown, hasCache } from '../../src/objective/cache.ts';
import { choose, continuations, type Prompt, type Sides } from '../../src/objective/decode.ts';
import { createForward } from '../../src/objective/forward.ts';
import { indices } from '../suites/arrays.ts';
import { FIXTURES, fixture, key } from './models.ts';

const V = 64;
/** Those that continue a text. */
const NAMES = [...FIXTURES.filter((name) => !/^(ro)?bert/.test(name)), 'mistral-window'];
const SAMPLING = { max_new_tokens: 10, temperature: 0, top_p: 1 };
const NEVER = { isEnd: () => false, isDone: () => false };

const prompts: readonly Prompt[] = [3, 9, 30, 1].map((length, i) => ({
  ids: [...indices(40 + i, length, V)],
  draws: Array.from({ length: 10 }, (_, t) => ((7 * t + 3 * i) % 10) / 10),
  key: key(i),
}));
const pairs = prompts.flatMap((prompt) => [prompt, prompt]);

/** The same model, the blocks of which keep nothing. */
const forgetful = (model: Model): Model => ({
  ...model,
  blocks: model.blocks.map(({ cache: _, ...block }) => block),
});

describe.each(NAMES)('%s', (name) => {
  test('kept keys and values give the tokens of whole passes, alone and in company', async () => {
    const { model, weights } = await fixture(name, referenceKernels());
    const forward = createForward(model, weights, nodeEngine({ threads: 1 }));
    expect(hasCache(model)).toBe(true);
    for (const temperature of [0, 1]) {
      const sampling = { ...SAMPLING, temperature };
      const whole = await continuations(forward, forgetful(model), prompts, sampling, 1, NEVER);
      expect(await continuations(forward, model, prompts, sampling, 8, NEVER)).toEqual(whole);
      expect(await continuations(forward, model, prompts, sampling, 1, NEVER)).toEqual(whole);
      expect(new Set(whole.flat()).size, 'texts that differ').toBeGreaterThan(3);
    }
    await forward.release();
  });

  test('so they do on both sides of a direction, low-rank or made whole', async () => {
    const { model, weights } = await fixture(name, referenceKernels());
    const forward = createForward(model, weights, nodeEngine({ threads: 1 }));
    const sides = { rank: 2, delta: 0.05, kept: everything };
    const beside: Sides = { kind: 'sided', ...sides };
    const dense: Sides = { kind: 'dense', noise: 'lowrank', ...sides };
    const expected = await continuations(forward, forgetful(model), pairs, SAMPLING, 2, NEVER, beside);
    expect(await continuations(forward, model, pairs, SAMPLING, 8, NEVER, beside)).toEqual(expected);
    expect(await continuations(forward, model, pairs, SAMPLING, 8, NEVER, dense)).toEqual(expected);
    const plain = await continuations(forward, model, pairs, SAMPLING, 8, NEVER);
    expect(expected.filter((text, i) => text.join() !== plain[i]!.join()).length, 'sides that show').toBeGreaterThan(2);
    expect(expected[0], 'the two sides differ').not.toEqual(expected[1]);
    await forward.release();
  });
});

test('a text ends at its end token, at what it is told, and at the positions of the model', async () => {
  const { model, weights } = await fixture('llama-yarn-biases', referenceKernels());
  const forward = createForward(model, weights, interpreter);
  const long = { ...SAMPLING, max_new_tokens: 1000 };
  const [all] = await continuations(forward, model, prompts.slice(0, 1), long, 2, NEVER);
  expect(all).toHaveLength(model.positions - 3);
  const ends = {
    isEnd: (id: number) => id === all![4],
    isDone: (ids: readonly number[], prompt: number) => prompt === 1 && ids.length === 5,
  };
  const texts = await continuations(forward, model, [prompts[0]!, prompts[0]!, prompts[0]!], long, 2, ends);
  const end = all!.indexOf(all![4]!);
  expect(texts).toEqual([all!.slice(0, end), all!.slice(0, Math.min(end, 2)), all!.slice(0, end)]);
});

test('masks: what lies behind a sequence, itself, and nothing of room that is not filled', () => {
  const dims = { sequences: 2, tokens: 2, scored: 1, past: 4 };
  const seen = (mask: Float32Array) => Array.from(mask, (x) => (x === 0 ? 1 : 0));
  const rows = [
    [1, 0, 0, 0, 1, 0],
    [1, 0, 0, 0, 1, 1],
    [1, 1, 1, 0, 1, 0],
    [1, 1, 1, 0, 1, 1],
  ];
  expect(seen(causalMasks(dims, [1, 3]))).toEqual(rows.flat());
  const near = [
    [1, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 1, 1],
    [0, 0, 1, 0, 1, 0],
    [0, 0, 0, 0, 1, 1],
  ];
  expect(seen(causalMasks(dims, [1, 3], 2))).toEqual(near.flat());
  expect(causalMasks({ ...dims, past: 0 }, [0, 0], 2)).toEqual(causalMask(2, 2));
});

test('a cache that grows keeps every row in its place', async () => {
  const { model } = await fixture('llama-untied-grouped-linear', referenceKernels());
  const cache: Cache = emptyCache(model, 2, 3);
  const { k, groups, headDim } = cache.blocks[1]!;
  k.set(Float32Array.from(k, (_, i) => i));
  const { k: more } = grown(cache, 5).blocks[1]!;
  for (let head = 0; head < 2 * groups; head++)
    for (let row = 0; row < 5; row++)
      for (let i = 0; i < headDim; i++)
        expect(more[(head * 5 + row) * headDim + i]).toBe(row < 3 ? (head * 3 + row) * headDim + i : 0);
});

test('top_p draws from the fewest tokens that reach it', () => {
  const logits = Float32Array.from([0.1, 0.5, 0.15, 0.25], Math.log);
  const drawn = (top_p: number) =>
    new Set(Array.from({ length: 100 }, (_, i) => choose(logits, 1, (i + 0.5) / 100, top_p)));
  expect(drawn(1)).toEqual(new Set([0, 1, 2, 3]));
  expect(drawn(0.76)).toEqual(new Set([1, 2, 3]));
  expect(drawn(0.74)).toEqual(new Set([1, 3]));
  expect(drawn(0.3)).toEqual(new Set([1]));
});

test('a batch without a past is read as before', async () => {
  const { model, weights } = await fixture('opt-tied', referenceKernels());
  const forward = createForward(model, weights, interpreter);
  const batch: Batch = {
    ...{ sequences: 1, tokens: 4, scored: 1, ids: indices(1, 4, V), at: Int32Array.of(3) },
    ...{ targets: new Int32Array(1), weights: Float32Array.of(1), members: Int32Array.of(0) },
    lengths: Int32Array.of(4),
  };
  const [[plain]] = (await forward.run([batch], { kind: 'logits' }, { kind: 'none' })) as [[Float32Array]];
  const caches = [[emptyCache(model, 1, 4)]];
  const kept = { ...batch, past: 0, starts: Int32Array.of(0) };
  const [[same]] = (await forward.run([kept], { kind: 'logits' }, { kind: 'none' }, undefined, caches)) as [
    [Float32Array],
  ];
  expect(same).toEqual(plain);
  expect(caches[0]![0]!.blocks.every(({ k, v }) => k.every((x) => x !== 0) && v.some((x) => x !== 0))).toBe(true);
});
