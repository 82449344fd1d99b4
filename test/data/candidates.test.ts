import { describe, expect, test } from 'vitest';
import { completedExamples } from '../../src/data/candidates.ts';
import type { Row } from '../../src/data/rows.ts';
import type { Task } from '../../src/nouns.ts';
import { fakeEncoder, file, refusal } from './fake.ts';

const WORDS = ['It', ' was', ' good', ' bad', ' very', '\n', ' no'];
/** Ids: 10 It, 11 was, 12 good, 13 bad, 14 very, 15 line end, 16 no; 1 opens a text. */
const encoder = { ...fakeEncoder(WORDS), end: 9 };
const FILE = file('rows.jsonl', '');
const rowsOf = (...columns: Record<string, unknown>[]): Row[] =>
  columns.map((own, i) => ({ line: i + 1, columns: own }));
const CANDIDATES: Task & { kind: 'candidates' } = {
  ...{ kind: 'candidates', prompt: '{text} was', candidates_column: 'options', answer_column: 'label' },
};
const ANSWER: Task & { kind: 'answer' } = {
  ...{ kind: 'answer', prompt: '{text} was', answers_column: 'answers', max_new_tokens: 4, stop: ['\n'] },
};
const make = (task: typeof CANDIDATES | typeof ANSWER, rows: readonly Row[], positions = 32) =>
  completedExamples(task, FILE, rows, encoder, positions);

describe('candidates', () => {
  const row = { text: 'It', options: [' good', ' very bad'], label: 1 };

  test('the right one is taught, on its own tokens alone, each after the one before', () => {
    const [example] = make(CANDIDATES, rowsOf(row)).examples;
    expect(example).toMatchObject({
      tokens: Int32Array.of(1, 10, 11, 14),
      at: Int32Array.of(2, 3),
      targets: Int32Array.of(14, 13),
    });
    expect(example!.choice!.right).toEqual([1]);
    expect(example!.choice!.candidates.map(({ targets }) => [...targets])).toEqual([[12], [14, 13]]);
  });

  test('a list as JSON in a column, and several that are right', () => {
    const csv = { text: 'It', options: '[" good", " bad"]', label: '[1, 0]' };
    const [example] = make(CANDIDATES, rowsOf(csv)).examples;
    expect(example!.choice!.right).toEqual([1, 0]);
    expect([...example!.targets]).toEqual([13]);
  });

  test('a prompt that is too long loses its front, the same for every candidate that fits', () => {
    const long = { text: 'It was was was', options: [' good', ' very bad'], label: 0 };
    const { examples, truncated } = make(CANDIDATES, rowsOf(long, row), 4);
    expect(truncated).toBe(1);
    expect(examples[0]!.choice!.candidates.map(({ tokens }) => [...tokens])).toEqual([
      [1, 11, 11, 11],
      [1, 11, 11, 14],
    ]);
  });

  test.each([
    ['one candidate', { ...row, options: [' good'] }, 'rows.jsonl:1: column "options" holds 1; give two or more'],
    ['an index beyond', { ...row, label: 2 }, 'column "label" must hold an index 0 … 1'],
    ['no index', { ...row, label: 'good' }, 'column "label" must hold an index'],
    ['no column', { text: 'It', label: 0 }, 'no column "options"; it has "text", "label"'],
    ['a list of lists', { ...row, options: [[1], [2]] }, 'column "options" must hold a text, or a list of texts'],
    ['an empty one', { ...row, options: ['', ' bad'] }, 'nothing is left of "" in tokens'],
  ])('%s is refused', (_, bad, expected) => {
    expect(refusal(() => make(CANDIDATES, rowsOf(bad)))).toContain(expected);
  });
});

describe('answers', () => {
  test('the first accepted one is taught up to the stop string; all are kept, with prompt and row', () => {
    const row = { text: 'It', answers: [' very good', ' good'] };
    const [example] = make(ANSWER, rowsOf(row)).examples;
    expect([...example!.tokens]).toEqual([1, 10, 11, 14, 12]);
    expect([...example!.at]).toEqual([2, 3, 4]);
    expect([...example!.targets]).toEqual([14, 12, 15]);
    expect(example!.answer).toEqual({ ids: [1, 10, 11], prompt: 'It was', accepted: [' very good', ' good'] });
    expect(example!.row).toEqual(row);
  });

  test('without a stop string it is taught to end as texts do', () => {
    const [example] = make({ ...ANSWER, stop: [] }, rowsOf({ text: 'It', answers: ' good' })).examples;
    expect([[...example!.tokens], [...example!.at], [...example!.targets]]).toEqual([
      [1, 10, 11, 12],
      [2, 3],
      [12, 9],
    ]);
  });

  test('prompts alone are scored nowhere', () => {
    const [example] = make({ ...ANSWER, answers_column: '' }, rowsOf({ text: 'It' })).examples;
    expect(example).toMatchObject({ tokens: Int32Array.of(1, 10, 11), at: new Int32Array(0) });
    expect(example!.answer!.accepted).toEqual([]);
  });

  test('the prompt leaves room for what is written', () => {
    const { examples, truncated } = make(ANSWER, rowsOf({ text: 'It was was', answers: ' no' }), 7);
    expect(examples[0]!.answer!.ids).toEqual([1, 11, 11]);
    expect(truncated).toBe(1);
    expect(refusal(() => make(ANSWER, rowsOf({ text: 'It', answers: ' no' }), 5))).toContain('max_new_tokens: 4 leave');
  });
});
