import { describe, expect, test } from 'vitest';
import { withDemonstrations } from '../../src/data/demonstrations.ts';
import type { Row } from '../../src/data/rows.ts';
import { TASKS } from '../../src/data/tasks/tasks.ts';
import { parseTemplate, renderTemplate } from '../../src/data/template.ts';
import { refusal } from './fake.ts';

const task = (name: string) => TASKS.find((found) => found.name === name)!;
const row = (columns: Row['columns']): Row => ({ line: 7, columns });
/** The prompt of `asked`, with the others before it. */
const prompt = (name: string, shown: readonly Row[], asked: Row) =>
  renderTemplate(parseTemplate(withDemonstrations(task(name).causal, shown, 'f').prompt), asked, 'f');

describe('demonstrations', () => {
  test('of a choice: the prompt and the word; braces stay braces; the asked row has no word', () => {
    const rows = [row({ text: 'A {text} }', label: 'negative' }), row({ text: 'B', label: 'positive' })];
    expect(prompt('sst2', rows, row({ text: 'C', label: 'positive' }))).toBe(
      'A {text} } It was terrible\n\nB It was great\n\nC It was',
    );
  });

  test('of candidates: the right one, or the first of several', () => {
    const copa = row({ premise: 'It fell', conjunction: 'so', candidates: [' a.', ' b.'], answer: 1 });
    expect(prompt('copa', [copa], copa)).toBe('It fell so b.\n\nIt fell so');
    const record = row({ passage: 'P', candidates: [' a', ' b', ' c'], answer: [1, 2] });
    expect(prompt('record', [record], record)).toBe('P\n- b\n\nP\n-');
  });

  test('of an answer: the first accepted one', () => {
    const drop = row({ context: 'C', question: 'Q?', answers: ['x', 'y'] });
    const text = 'Passage: C\nQuestion: Q?\nAnswer:';
    expect(prompt('drop', [drop, drop], drop)).toBe(`${text} x\n\n${text} x\n\n${text}`);
  });

  test.each([
    ['sst2', { text: 'A', label: '2' }, /^DATA_INVALID: f:7: column "label" has no right answer/],
    ['copa', { premise: 'A', conjunction: 'so', candidates: ['a'], answer: 1 }, /column "answer" has no right answer/],
    ['drop', { context: 'A', question: 'Q', answers: [] }, /column "answers" has no right answer/],
  ])('%s without a right answer is refused', (name, columns, message) => {
    expect(refusal(() => withDemonstrations(task(name).causal, [row(columns)], 'f'))).toMatch(message);
  });

  test('masked prompts have none', () => {
    expect(refusal(() => withDemonstrations(task('sst2').masked!, [], 'f'))).toMatch(
      /^CONFIG_INVALID: shots_in_context/,
    );
  });
});
