import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import type { Model } from '../../src/model/stage.ts';
import type { Tokenizer } from '../../src/model/tokenizer.ts';
import { createForward, type Forward } from '../../src/objective/forward.ts';
import { choose, generate } from '../../src/peer/generate.ts';
import { fixture, smallKernels } from '../objective/models.ts';

/** One token a character, 1 in front of a text, 0 at its end. */
const tokenizer: Tokenizer = {
  encode: (text, { special }) => [...(special ? [1] : []), ...Array.from(text, (c) => c.charCodeAt(0) % 64)],
  decode: (ids) => ids.map((id) => (id === 1 ? '' : String.fromCharCode(64 + id))).join(''),
  isEnd: (id) => id === 0,
};

/** A model that says `next(ids)` with the logits it is given. */
const scripted = (next: (ids: readonly number[]) => readonly number[], positions = 40) => {
  const seen: number[][] = [];
  const forward = {
    async run(batches: Parameters<Forward['run']>[0]) {
      const [{ ids, at }] = batches as [(typeof batches)[0]];
      const text = [...ids.subarray(0, at[0]! + 1)];
      seen.push(text);
      return [[Float32Array.from(next(text))]];
    },
    release: async () => undefined,
  } as Forward;
  return { forward, model: { positions } as Model, seen };
};
const oneHot = (id: number) => Array.from({ length: 64 }, (_, i) => (i === id ? 5 : 0));
const greedy = { max_new_tokens: 8, temperature: 0, draws: [] };

describe('generate', () => {
  test('goes on with the likeliest token after all that was read, until max_new_tokens', async () => {
    const { forward, model, seen } = scripted((ids) => oneHot(ids.length));
    expect(await generate(forward, model, tokenizer, 'AB', greedy)).toBe('CDEFGHIJ');
    expect(seen[0]).toEqual([1, 1, 2]);
    expect(seen[7]).toEqual([1, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('stops at the end token, which is not shown', async () => {
    const { forward, model } = scripted((ids) => oneHot(ids.length < 5 ? ids.length : 0));
    expect(await generate(forward, model, tokenizer, 'AB', greedy)).toBe('CD');
  });

  test('stops at the positions of the model', async () => {
    const { forward, model, seen } = scripted(() => oneHot(7), 6);
    expect(await generate(forward, model, tokenizer, 'AB', greedy)).toBe('GGG');
    expect(seen).toHaveLength(3);
    expect(await generate(forward, model, tokenizer, 'ABCDE', greedy)).toBe('');
  });

  test('a masked model, which says nothing of what comes next, is refused', async () => {
    const { forward, model, seen } = scripted(() => oneHot(7));
    await expect(generate(forward, { ...model, kind: 'masked' }, tokenizer, 'AB', greedy)).rejects.toThrow(
      /^MODEL_UNSUPPORTED: a masked model/,
    );
    expect(seen).toHaveLength(0);
  });

  test('a prompt of more than the positions, or of no tokens, is refused', async () => {
    const { forward, model } = scripted(() => oneHot(7), 6);
    await expect(generate(forward, model, tokenizer, 'ABCDEF', greedy)).rejects.toThrow(
      'CONFIG_INVALID: --prompt: is 7 tokens, at most 6 can be read; shorten it',
    );
    const bare: Tokenizer = { ...tokenizer, encode: () => [] };
    await expect(generate(forward, model, bare, '', greedy)).rejects.toThrow(/^CONFIG_INVALID: --prompt/);
  });

  test('what a decoder leaves out at the start of a text is kept inside', async () => {
    const { forward, model } = scripted(() => oneHot(5));
    const trimming: Tokenizer = {
      ...tokenizer,
      decode: (ids) =>
        ids
          .map((id) => (id === 1 ? '' : ` ${id}`))
          .join('')
          .trimStart(), // as sentencepiece does
    };
    expect(await generate(forward, model, trimming, 'BC', { ...greedy, max_new_tokens: 2 })).toBe(' 5 5');
  });

  test('with a real model: the same twice, and padding to a step of lengths does not show', async () => {
    const { model, weights } = await fixture('llama-untied-grouped-linear', await smallKernels());
    const forward = createForward(model, weights, nodeEngine({ threads: 1 }));
    const long = { ...greedy, max_new_tokens: 100 };
    const first = await generate(forward, model, tokenizer, 'HELLO', long);
    expect(first.length).toBe(model.positions - 6); // it knows no end token
    expect(await generate(forward, model, tokenizer, 'HELLO', long)).toBe(first);
    const rest = await generate(forward, model, tokenizer, `HELLO${first.slice(0, 30)}`, long);
    expect(rest).toBe(first.slice(30));
    await forward.release();
  });
});

describe('choose', () => {
  const logits = Float32Array.of(1, 3, Number.NEGATIVE_INFINITY, 3);

  test('at temperature 0 the likeliest, the first of equals', () => {
    expect(choose(logits, 0, 0.99)).toBe(1);
  });

  test('else the one at which the distribution passes the draw', () => {
    const p = [Math.exp(-2), 1, 0, 1].map((x, _, all) => x / all.reduce((a, b) => a + b, 0));
    expect(choose(logits, 1, 0)).toBe(0);
    expect(choose(logits, 1, p[0]! - 1e-9)).toBe(0);
    expect(choose(logits, 1, p[0]! + 1e-9)).toBe(1);
    expect(choose(logits, 1, p[0]! + p[1]! - 1e-9)).toBe(1);
    expect(choose(logits, 1, p[0]! + p[1]! + 1e-9)).toBe(3);
    expect(choose(logits, 1, 1)).toBe(3);
  });

  test('a high temperature evens out, a low one decides', () => {
    const share = (temperature: number) => {
      const draws = Array.from({ length: 1000 }, (_, i) => (i + 0.5) / 1000);
      return draws.filter((draw) => choose(Float32Array.of(0, 1), temperature, draw) === 1).length / 1000;
    };
    expect(share(1)).toBeCloseTo(Math.E / (1 + Math.E), 2);
    expect(share(100)).toBeCloseTo(0.5, 2);
    expect(share(0.01)).toBe(1);
  });

  test('a token of no weight is never drawn, even when rounding leaves something over', () => {
    expect(choose(Float32Array.of(0, Number.NEGATIVE_INFINITY), 1, 1 - 2 ** -53)).toBe(0);
  });

  test('logits that are no numbers are refused', () => {
    expect(() => choose(Float32Array.of(1, Number.NaN), 0, 0)).toThrow(/^DIVERGED/);
    expect(() => choose(Float32Array.of(Number.NaN, Number.NaN), 1, 0)).toThrow(/^DIVERGED/);
  });
});
