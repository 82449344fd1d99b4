import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { buildDataset } from '../../src/data/dataset.ts';
import type { Manifest, Task } from '../../src/nouns.ts';
import { fakeEncoder, refusal } from './fake.ts';

const blob = (path: string) => ({ path, bytes: 0, sha256: '' });
const bytes = (text: string) => new TextEncoder().encode(text);
const encoder = fakeEncoder(['w', ' good', ' bad']);
const lm = (window: number): Task => ({ kind: 'lm', window });
const choice: Task = {
  kind: 'choice',
  prompt: '{sentence|content}:',
  label_column: 'label',
  labels: [
    { value: '0', word: ' bad' },
    { value: '1', word: ' good' },
  ],
};
const dataOf = (train: string, held?: string, eval_fraction = 0.1): Manifest['data'] => ({
  train: blob(train),
  ...(held ? { eval: blob(held) } : {}),
  eval_fraction,
});
const csv = (n: number) => bytes(`label,content\n${Array.from({ length: n }, (_, i) => `${i % 2},x`).join('\n')}\n`);

describe('a data set', () => {
  test('text: held out is the last tenth of the tokens', () => {
    const {
      train,
      eval: held,
      choices,
    } = buildDataset(lm(3), dataOf('t.txt'), { train: bytes('w'.repeat(99)) }, encoder, 8);
    expect([train.length, held.length, choices.length]).toEqual([22, 2, 0]); // 90 and 10 tokens, windows of 4
    expect(train[0]!.tokens[0]).toBe(1);
  });

  test('text: or a file of its own, and then nothing of the other', () => {
    const made = buildDataset(
      lm(3),
      dataOf('t.txt', 'e.txt'),
      { train: bytes('w'.repeat(99)), eval: bytes('abcdefg') },
      encoder,
      8,
    );
    expect([made.train.length, made.eval.length]).toEqual([25, 2]);
    expect([...made.eval[0]!.tokens]).toEqual([1, 197, 198]);
  });

  test('choices: held out are the last rows, or another file', () => {
    const { train, eval: held, choices } = buildDataset(choice, dataOf('t.csv'), { train: csv(20) }, encoder, 8);
    expect([train.length, held.length, ...choices]).toEqual([18, 2, 12, 11]);
    const other = buildDataset(choice, dataOf('t.csv', 'e.csv'), { train: csv(20), eval: csv(4) }, encoder, 8);
    expect([other.train.length, other.eval.length, other.truncated]).toEqual([20, 4, 0]);
  });

  test.each([
    [
      'a window longer than the model',
      () => buildDataset(lm(9), dataOf('t.txt'), { train: bytes('w') }, encoder, 8),
      /^CONFIG_INVALID: block_size: 9 is more than the 8 positions of the model; lower it$/,
    ],
    [
      'too little text',
      () => buildDataset(lm(4), dataOf('t.txt'), { train: bytes('w') }, encoder, 8),
      /^DATA_INVALID: t.txt: 2 tokens for training hold no window of 4 \+ 1; give/,
    ],
    [
      'too little text to hold out',
      () => buildDataset(lm(4), dataOf('t.txt'), { train: bytes('w'.repeat(40)) }, encoder, 8),
      /^DATA_INVALID: t.txt: 4 tokens for evaluation/,
    ],
    [
      'too few rows to hold out',
      () => buildDataset(choice, dataOf('t.csv'), { train: csv(9) }, encoder, 8),
      /^DATA_INVALID: t.csv: 9 rows cannot be split with eval_fraction 0.1; give more rows, or eval_data$/,
    ],
    [
      'an eval file that disagrees on columns',
      () =>
        buildDataset(choice, dataOf('t.csv', 'e.csv'), { train: csv(9), eval: bytes('label,text\n0,x\n') }, encoder, 8),
      /^DATA_INVALID: e.csv:2: no column "sentence"; it has "label", "text"$/,
    ],
    [
      'an eval file that was not read',
      () => buildDataset(lm(4), dataOf('t.txt', 'e.txt'), { train: bytes('w') }, encoder, 8),
      /"bytes.eval" must come with data.eval/,
    ],
  ])('%s is refused', (_, act, message) => expect(refusal(act)).toMatch(message));

  const SST2 = '../shared/data/sst2';
  test.skipIf(!existsSync(SST2))(`${SST2}: both classes, whichever name the column has`, () => {
    const read = (name: string) => readFileSync(`${SST2}/${name}`);
    const made = buildDataset(
      choice,
      dataOf('dev.tsv', 'test.tsv'),
      { train: read('dev.tsv'), eval: read('test.tsv') },
      encoder,
      2048,
    );
    expect([made.train.length, made.eval.length, made.truncated]).toEqual([872, 1821, 0]);
    expect(made.train.filter(({ targets }) => targets[0] === 1).length).toBe(444);
  });
});
