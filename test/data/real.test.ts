import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { buildDataset } from '../../src/data/dataset.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import type { Task } from '../../src/nouns.ts';
import { refusal } from './fake.ts';

const SHARED = '../shared';
const here = existsSync(SHARED);
const read = (path: string) => readFileSync(`${SHARED}/${path}`);
const tokenizerOf = (model: string, vocabulary: number) =>
  openTokenizer(
    read(`models/${model}/tokenizer.json`).toString(),
    read(`models/${model}/tokenizer_config.json`).toString(),
    { vocabulary },
  );
const data = (train: string, held?: string) => ({
  train: { path: train, bytes: 0, sha256: '' },
  ...(held ? { eval: { path: held, bytes: 0, sha256: '' } } : {}),
  eval_fraction: 0.1,
});
const reviews: Task = {
  kind: 'choice',
  prompt: '{text} It was',
  label_column: 'label',
  labels: [
    { value: '0', word: ' terrible' },
    { value: '1', word: ' great' },
  ],
};

describe.skipIf(!here)(`with the tokenizers and data of ${SHARED}`, () => {
  test('the demo reviews: balanced, one token a label word, never cut', () => {
    const quill = tokenizerOf('quill', 1024);
    const bytes = { train: read('demo/train.jsonl'), eval: read('demo/dev.jsonl') };
    const made = buildDataset(reviews, data('train.jsonl', 'dev.jsonl'), bytes, quill, 512);
    expect([made.train.length, made.eval.length, made.truncated]).toEqual([2000, 500, 0]);
    expect(quill.decode([...made.choices])).toBe(' terrible great');
    expect(quill.decode([...made.train[0]!.tokens])).toMatch(/^The screen was very clumsy\. .* It was$/);
    const padded = batchExamples(made.train).reduce((n, { sequences, tokens }) => n + sequences * tokens, 0);
    const real = made.train.reduce((n, { tokens }) => n + tokens.length, 0);
    expect(padded / real).toBeLessThan(1.25);
  });

  test('a tokenizer that cuts the label words up is refused', () => {
    const small = tokenizerOf('stories260k', 512);
    expect(
      refusal(() => buildDataset(reviews, data('train.jsonl'), { train: read('demo/train.jsonl') }, small, 512)),
    ).toMatch(/^LABEL_WORD: label word " terrible" is \d tokens \(.*\); choose a word of one token/);
  });

  test('tiny Shakespeare: windows of 64 tokens, a tenth held out, read back as text', () => {
    const small = tokenizerOf('stories260k', 512);
    const text = read('data/tiny-shakespeare/input.txt');
    const made = buildDataset({ kind: 'lm', window: 64 }, data('input.txt'), { train: text }, small, 512);
    const windows = made.train.length + made.eval.length;
    expect(made.eval.length / windows).toBeCloseTo(0.1, 3);
    expect(made.train[0]!.tokens[0]).toBe(1);
    expect(small.decode([...made.train[0]!.tokens])).toMatch(/^First Citizen:\nBefore we proceed any further/);
    const last = made.train.at(-1)!;
    expect(text.toString()).toContain(
      small
        .decode([...last.tokens])
        .trim()
        .slice(0, 40),
    );
  });
});
