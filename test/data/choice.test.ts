import { describe, expect, test } from 'vitest';
import { type ChoiceTask, choiceExamples, labelTokens } from '../../src/data/choice.ts';
import { readRows } from '../../src/data/rows.ts';
import { fakeEncoder, file, refusal } from './fake.ts';

const encoder = fakeEncoder(['good', 'bad', ' film', ' It', ' was', ' great', ' terrible']);
const [good, bad, film, It, was, great, terrible] = [10, 11, 12, 13, 14, 15, 16];
const task: ChoiceTask = {
  kind: 'choice',
  prompt: '{text} It was',
  label_column: 'label',
  labels: [
    { value: '0', word: ' terrible' },
    { value: '1', word: ' great' },
  ],
};
const data = file('r.jsonl', '{"text":"good film","label":1}\n{"text":"bad film","label":"0"}\n');
const examplesOf = (t: ChoiceTask, positions = 100) => choiceExamples(t, data, readRows(data), encoder, positions);

describe('classification by label words', () => {
  test('a row becomes its prompt, scored at the last token on its class', () => {
    const { examples, truncated } = examplesOf(task);
    expect(truncated).toBe(0);
    expect(examples.map(({ tokens }) => [...tokens])).toEqual([
      [1, good, film, It, was],
      [1, bad, film, It, was],
    ]);
    expect(examples.map(({ at, targets }) => [...at, ...targets])).toEqual([
      [4, 1],
      [4, 0],
    ]);
  });

  test('too long a prompt loses the front of its text, never its opening or the end of the template', () => {
    const { examples, truncated } = examplesOf(task, 4);
    expect(truncated).toBe(2);
    expect(examples.map(({ tokens }) => [...tokens])).toEqual([
      [1, film, It, was],
      [1, film, It, was],
    ]);
    expect(examplesOf(task, 5).truncated).toBe(0);
  });

  test('label words become the token that follows the prompt, in the order of the classes', () => {
    expect([...labelTokens(task, data, readRows(data)[0]!, encoder)]).toEqual([terrible, great]);
  });

  test.each([
    ['of several tokens', [' terrible', ' wonderful'], /^LABEL_WORD: label word " wonderful" is 10 tokens \(.*choose/],
    ['that changes the prompt', [' terrible', 'n'], /^LABEL_WORD: label word "n" changes the tokens of the prompt/],
    ['of no token', [' terrible', ''], /^LABEL_WORD: label word "" is 0 tokens/],
    ['twice', [' great', ' great'], /^LABEL_WORD: label words " great" and " great" are the same token 15; choose/],
  ])('a label word %s is refused', (_, words, message) => {
    const labels = words.map((word, i) => ({ value: String(i), word }));
    expect(refusal(() => labelTokens({ ...task, labels }, data, readRows(data)[0]!, encoder))).toMatch(message);
  });

  test('a label that has no word is refused with its line', () => {
    expect(refusal(() => examplesOf({ ...task, labels: task.labels.slice(0, 1) }))).toBe(
      'DATA_INVALID: r.jsonl:1: label "1" is not one of "0"; add it to labels',
    );
  });

  test('a column that is not there is refused with its line and those that are', () => {
    expect(refusal(() => examplesOf({ ...task, prompt: '{sentence} It was' }))).toBe(
      'DATA_INVALID: r.jsonl:1: no column "sentence"; it has "text", "label"',
    );
    expect(refusal(() => examplesOf({ ...task, label_column: 'y' }))).toMatch(
      /^DATA_INVALID: r.jsonl:1: no column "y"/,
    );
  });
});
