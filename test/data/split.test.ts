import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { buildDataset } from '../../src/data/dataset.ts';
import { splitRows } from '../../src/data/split.ts';
import type { Manifest, Task } from '../../src/nouns.ts';
import { fakeEncoder, file, refusal } from './fake.ts';

const choice: Task & { kind: 'choice' } = {
  kind: 'choice',
  prompt: '{text}',
  label_column: 'label',
  labels: [
    { value: 'a', word: ' bad' },
    { value: 'b', word: ' good' },
  ],
};
const answer: Task & { kind: 'answer' } = {
  ...{ kind: 'answer', prompt: '{text}', answers_column: 'answers', max_new_tokens: 5, stop: [] },
};
const table = (n: number, name = 't.tsv') =>
  file(
    name,
    `label\ttext\n${Array.from({ length: n }, (_, i) => `${i % 3 === 0 ? 'a' : 'b'}\t${name}${i}\n`).join('')}`,
  );
const blob = { path: 't.tsv', bytes: 0, sha256: '' };
const dataOf = (sample?: Manifest['data']['sample'], eval_fraction = 0.25): Manifest['data'] => ({
  ...{ train: blob, eval_fraction, ...(sample ? { sample } : {}) },
});
const texts = (rows: readonly { columns: Readonly<Record<string, unknown>> }[]) =>
  rows.map(({ columns }) => columns['text']);

describe('a sample of the rows', () => {
  test('k of each class, and k more held out: disjoint, and the same for the same seed alone', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 0, max: 0xffff_ffff }), (k, seed) => {
        const of = (s: number) => splitRows(choice, dataOf({ per_class: k, seed: s }), table(100), undefined);
        const { train, eval: held } = of(seed);
        for (const part of [train, held])
          expect(part.map(({ columns }) => columns['label'])).toEqual([...Array(k).fill('a'), ...Array(k).fill('b')]);
        expect(new Set(texts([...train, ...held])).size).toBe(4 * k);
        expect(of(seed)).toEqual({ train, eval: held });
        if (k > 8) expect(texts(of(seed ^ 1).train)).not.toEqual(texts(train));
      }),
      { numRuns: 30 },
    );
  });

  test('every row can be drawn, and none more often than another', () => {
    const times = new Map<unknown, number>();
    for (let seed = 0; seed < 400; seed++)
      for (const text of texts(splitRows(choice, dataOf({ first: 3, seed }), table(16), undefined).train))
        times.set(text, (times.get(text) ?? 0) + 1);
    expect(times.size).toBe(12); // a quarter is held out
    for (const n of times.values()) expect(Math.abs(n - 100)).toBeLessThan(45); // five standard deviations
  });

  test('with a file to judge by, nothing is held out of the other, and of it all is used', () => {
    const held = table(5, 'e.tsv');
    const k = splitRows(choice, dataOf({ per_class: 2, seed: 1 }), table(6), held);
    expect([k.train.length, k.eval.length]).toEqual([4, 5]); // 2 of class a: a second set would need 4
    const first = splitRows(choice, dataOf({ first: 6, seed: 1 }), table(6), held);
    expect([...texts(first.train)].sort()).toEqual(
      [...texts(splitRows(choice, dataOf(), table(6), held).train)].sort(),
    );
    expect(first.eval.length).toBe(5);
  });

  test('the first n of those drawn are the first of n + 1', () => {
    const of = (first: number) => texts(splitRows(choice, dataOf({ first, seed: 9 }), table(40), undefined).train);
    expect(of(11).slice(0, 10)).toEqual(of(10));
  });

  test('tasks without classes have so many in all', () => {
    const { train, eval: held } = splitRows(answer, dataOf({ per_class: 4, seed: 3 }), table(9), undefined);
    expect([train.length, held.length, new Set(texts([...train, ...held])).size]).toEqual([4, 4, 8]);
  });

  test('the examples of a run are those drawn', () => {
    const bytes = { train: table(100).bytes };
    const encoder = fakeEncoder([' bad', ' good']);
    const made = buildDataset(choice, dataOf({ per_class: 16, seed: 5 }), bytes, encoder, 64);
    expect(made.train.map(({ targets }) => targets[0])).toEqual([...Array(16).fill(0), ...Array(16).fill(1)]);
    expect(made.eval.length).toBe(32);
  });

  test.each<[string, () => unknown, RegExp]>([
    [
      'too few of a class for both sets',
      () => splitRows(choice, dataOf({ per_class: 3, seed: 0 }), table(15), undefined),
      /^DATA_INVALID: t.tsv: has 5 rows of class "a", too few for 3 shots and as many held out; lower shots$/,
    ],
    [
      'none of a class',
      () => splitRows(choice, dataOf({ per_class: 1, seed: 0 }), file('t.tsv', 'label\ttext\nb\tx\nb\ty\n'), undefined),
      /^DATA_INVALID: t.tsv: has 0 rows of class "a"/,
    ],
    [
      'too few in all',
      () => splitRows(choice, dataOf({ first: 13, seed: 0 }), table(16), undefined),
      /^DATA_INVALID: t.tsv: has 12 rows to learn from, fewer than max_train_samples 13; lower it$/,
    ],
  ])('%s is refused', (_, act, message) => expect(refusal(act)).toMatch(message));
});
