import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type ChoiceTask, choiceExamples, labelTokens } from '../../src/data/choice.ts';
import { buildDataset } from '../../src/data/dataset.ts';
import { readRows } from '../../src/data/rows.ts';
import type { Encoder } from '../../src/data/tokens.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import { openTokenizer, type Tokenizer } from '../../src/model/tokenizer.ts';
import type { Example } from '../../src/nouns.ts';
import { readFolder, readJson } from '../model/folder.ts';
import { forward } from '../model/forward.ts';
import { fakeEncoder, file, refusal } from './fake.ts';

const MASK = 3;
const causal = fakeEncoder(['good', 'film', ' film', ' It', ' was', ' great', ' terrible', 'It', '.', ' .']);
const encoder: Encoder = { ...causal, mask: MASK };
const [good, , film, It, was, great, terrible, it, dot = 0] = Array.from({ length: 10 }, (_, i) => 10 + i);
const data = file('r.jsonl', '{"text":"good film","label":1}\n');
const taskOf = (prompt: string, words = [' terrible', ' great']): ChoiceTask => ({
  kind: 'choice',
  prompt,
  label_column: 'label',
  labels: words.map((word, i) => ({ value: String(i), word })),
});
const only = (prompt: string, positions = 100) => {
  const { examples, truncated } = choiceExamples(taskOf(prompt), data, readRows(data), encoder, positions);
  const [{ tokens, at, targets }] = examples as [Example];
  return { tokens: [...tokens], at: [...at], targets: [...targets], truncated };
};

describe('a masked model is asked what its mask hides', () => {
  test.each([
    ['{text} It was {mask}.', [1, good, film, It, was, MASK, dot, 2], 5],
    ['{text} It was{mask}.', [1, good, film, It, was, MASK, dot, 2], 5],
    ['{text} It was  {mask}', [1, good, film, It, was, MASK, 2], 5],
    ['{mask}{text}', [1, MASK, good, film, 2], 1],
    ['It was {mask}{text} .', [1, it, was, MASK, good, film, dot + 1, 2], 3],
  ])('%s', (prompt, tokens, at) => {
    expect(only(prompt)).toEqual({ tokens, at: [at], targets: [1], truncated: 0 });
  });

  test('too long a prompt loses the far end of the side that is longer, never its mask nor what is around a text', () => {
    const front = '{text} It was {mask}.'; // 4 tokens before the mask, 1 behind
    expect(only(front, 8)).toMatchObject({ truncated: 0 });
    expect(only(front, 7)).toEqual({ tokens: [1, film, It, was, MASK, dot, 2], at: [4], targets: [1], truncated: 1 });
    expect(only(front, 5)).toEqual({ tokens: [1, was, MASK, dot, 2], at: [2], targets: [1], truncated: 1 });
    expect(only(front, 3)).toEqual({ tokens: [1, MASK, 2], at: [1], targets: [1], truncated: 1 });
    expect(only('{mask}{text} It was', 6)).toMatchObject({ tokens: [1, MASK, good, film, It, 2], at: [1] });
    const middle = '{text}{mask}{text} It was'; // 2 and 4
    expect(only(middle, 8)).toMatchObject({ tokens: [1, good, film, MASK, good, film, It, 2], at: [3] });
    expect(only(middle, 6)).toMatchObject({ tokens: [1, good, film, MASK, good, 2], at: [3] });
  });

  test('label words are the tokens that stand for the mask, whether prompt or word brings the space', () => {
    const tokens = (prompt: string, words?: string[]) => [
      ...labelTokens(taskOf(prompt, words), data, readRows(data)[0]!, encoder),
    ];
    expect(tokens('{text} It was {mask}.')).toEqual([terrible, great]);
    expect(tokens('{text} It was {mask}.', ['terrible', 'great'])).toEqual([terrible, great]);
    expect(tokens('{text} It was{mask}.')).toEqual([terrible, great]);
    expect(refusal(() => tokens('{text} It was{mask}.', ['terrible', 'great']))).toMatch(/^LABEL_WORD: .*changes/);
    expect(refusal(() => tokens('{text} It was {mask}.', ['great', ' great']))).toMatch(/^LABEL_WORD: .*same token/);
  });

  test.each([
    ['no mask', '{text} It was', encoder, /^CONFIG_INVALID: prompt: "\{text\} It was" has no \{mask\}.*put it/],
    ['two masks', '{mask} {text} {mask}', encoder, /^CONFIG_INVALID: prompt: .* has more than one \{mask\}; leave/],
    [
      'a mask for a causal model',
      '{text} {mask}',
      causal,
      /^CONFIG_INVALID: prompt: .* has a \{mask\}.*causal; end it/,
    ],
    ['no column', 'It was {mask}.', encoder, /^CONFIG_INVALID: prompt: "It was \{mask\}." reads no column/],
  ])('%s is refused with what to do', (_, prompt, from, message) => {
    const row = readRows(data)[0]!;
    expect(refusal(() => choiceExamples(taskOf(prompt), data, [row], from, 100))).toMatch(message);
    expect(refusal(() => labelTokens(taskOf(prompt), data, row, from))).toMatch(message);
  });

  test('text without prompts is refused', () => {
    const train = file('a.txt', 'good film '.repeat(20));
    const build = (from: Encoder) =>
      buildDataset(
        { kind: 'lm', window: 4 },
        { train: { path: 'a.txt', bytes: 1, sha256: '' }, eval_fraction: 0.5 },
        { train: train.bytes },
        from,
        100,
      );
    expect(build(causal).train.length).toBeGreaterThan(0);
    expect(refusal(() => build(encoder))).toMatch(/^CONFIG_INVALID: task: lm needs a causal model.*\{mask\}/);
  });
});

interface Masked {
  readonly words: readonly { readonly word: string; readonly id: number }[];
  readonly texts: readonly { readonly text: string; readonly ids: readonly number[] }[];
  readonly prompts: readonly {
    readonly prompt: string;
    readonly input_ids: readonly number[];
    readonly at: number;
    readonly scores: readonly number[];
  }[];
}

describe.each(['bert-words', 'roberta-words'])('%s, as transformers has it', (name) => {
  const folder = `test/fixtures/models/${name}`;
  const text = (path: string): string => readFileSync(`${folder}/${path}`, 'utf8');
  const { words, texts, prompts } = readJson(`${folder}/masked.json`) as Masked;
  const open = (config = text('tokenizer_config.json')): Tokenizer =>
    openTokenizer(text('tokenizer.json'), config, { vocabulary: 400, kind: 'masked' });
  const rows = prompts.map((_, i) => ({ line: i + 1, columns: { x: '', label: i % 2 } }));

  test('ids of texts, with what is around them', () => {
    for (const { text: own, ids } of texts) expect(open().encode(own, { special: true }), own).toEqual(ids);
  });
  test('the mask token, whether or not the files name it', () => {
    expect(open().mask).toBe(prompts[0]!.input_ids[prompts[0]!.at]);
    expect(open('{}').mask).toBe(open().mask);
    expect(() => open('{"mask_token":"<hidden>"}')).toThrow(/^TOKENIZER_MISMATCH: .*no mask token <hidden>/);
    const bareText = JSON.stringify({ ...JSON.parse(text('tokenizer.json')), post_processor: null });
    expect(() => openTokenizer(bareText, '{}', { vocabulary: 400, kind: 'masked' })).toThrow(
      /^TOKENIZER_MISMATCH: .*nothing around a text/,
    );
    expect(openTokenizer(bareText, '{}', { vocabulary: 400 }).mask).toBeUndefined();
  });
  test('prompts become its ids, label words its tokens, and their scores at the mask are its logits', async () => {
    const { model, weight } = await readFolder(folder);
    const labels = words.map(({ word }, i) => ({ value: String(i), word }));
    for (const [i, { prompt, input_ids: ids, at, scores }] of prompts.entries()) {
      const task: ChoiceTask = { kind: 'choice', prompt: `{x}${prompt}`, label_column: 'label', labels };
      const [example] = choiceExamples(task, data, [rows[i]!], open(), model.positions).examples as [Example];
      expect([...example.tokens], prompt).toEqual(ids);
      expect([...example.at]).toEqual([at]);
      const spaced = labels.map(({ value, word }) => ({ value, word: ` ${word}` }));
      const choices = [...labelTokens({ ...task, labels: spaced }, data, rows[i]!, open())];
      expect(choices).toEqual(words.map(({ id }) => id));
      const got = await forward(nodeEngine({ threads: 1 }), model, {
        dims: { sequences: 1, tokens: ids.length, scored: 1 },
        form: { kind: 'plain' },
        head: { kind: 'choice', choices: 2 },
        ids,
        at: [at],
        choices,
        weight,
      });
      for (const [k, score] of scores.entries()) expect(Math.abs(got[k]! - score), prompt).toBeLessThan(1e-3);
    }
  });
});
