/** Files in proportions become windows; every document is opened; held-out text stays out. */
import { describe, expect, test } from 'vitest';
import { corpus, corpusTokens, documents, type Part } from '../../src/data/corpus.ts';
import type { DataFile } from '../../src/data/rows.ts';
import type { Encoder } from '../../src/data/tokens.ts';

/** A token a character; 1 opens a text. */
const letters: Encoder = {
  encode: (text, { special }) => [...(special ? [1] : []), ...[...text].map((c) => c.codePointAt(0)!)],
};
const file = (name: string, text: string): DataFile => ({ name, bytes: new TextEncoder().encode(text) });
const rows = file('reviews.jsonl', '{"text":"ab","label":1}\n{"text":"c","label":0}\n');
const plain = file('book.txt', 'x'.repeat(100));
const options = { window: 4, column: 'text', held: undefined, fraction: 0.25, positions: 8 };

test('a row is a document, a plain file is one; each begins as the tokenizer begins a text', () => {
  expect(documents(rows, 'text')).toEqual(['ab', 'c']);
  expect([...corpusTokens(letters, rows, 'text')]).toEqual([1, 97, 98, 1, 99]);
  expect(corpusTokens(letters, plain, 'text')).toHaveLength(101);
});

describe('an epoch', () => {
  const other = file('other.txt', 'y'.repeat(50));
  const count = (parts: readonly Part[], letter: string) =>
    corpus(parts, options, letters).train.filter(({ tokens }) => tokens[1] === letter.codePointAt(0)).length;

  test.each([
    [1, 15],
    [2, 30],
    [0.5, 8],
    [1.2, 18],
  ])('reads a file of 15 windows %d times in %d windows', (times, windows) => {
    const parts = [
      { file: plain, times },
      { file: other, times: 1 },
    ];
    expect(count(parts, 'x')).toBe(windows);
    expect(count(parts, 'y')).toBe(7);
  });

  test('holds out the end of every file, or the file that is named', () => {
    const parts = [
      { file: plain, times: 2 },
      { file: other, times: 1 },
    ];
    expect(corpus(parts, options, letters).eval.map(({ tokens }) => tokens[0])).toEqual([
      ...Array.from({ length: 5 }, () => 120),
      ...Array.from({ length: 2 }, () => 121),
    ]);
    const held = file('held.txt', 'z'.repeat(9));
    const named = corpus(parts, { ...options, held }, letters);
    expect(named.eval.map(({ tokens }) => [...tokens])).toEqual([
      [1, 122, 122, 122],
      [122, 122, 122, 122],
    ]);
    expect(named.train).toHaveLength(2 * 20 + 10);
  });
});

test('windows that the model has no positions for, and files that hold none, are refused by name', () => {
  const parts = [{ file: plain, times: 1 }];
  expect(() => corpus(parts, { ...options, window: 9 }, letters)).toThrow('CONFIG_INVALID: block_size: 9 is more');
  expect(() => corpus([{ file: rows, times: 1 }], options, letters)).toThrow('DATA_INVALID: reviews.jsonl');
});
