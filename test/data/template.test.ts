import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseTemplate, renderTemplate } from '../../src/data/template.ts';
import { refusal } from './fake.ts';

const render = (prompt: string, columns: Record<string, unknown>): string =>
  renderTemplate(parseTemplate(prompt), { line: 7, columns }, 'f.csv');

describe('prompt templates', () => {
  test.each([
    ['{text} It was', { text: 'Good.' }, 'Good. It was'],
    ['{premise}\nDoes "{hypothesis}" follow?', { premise: 'p', hypothesis: 'h' }, 'p\nDoes "h" follow?'],
    ['{{{a}}} {{', { a: 1 }, '{1} {'],
    ['{sentence|content}.', { content: 'c' }, 'c.'],
    ['{sentence|content}.', { content: 'c', sentence: 's' }, 's.'],
    ['{a}{b}', { a: '', b: true }, 'true'],
  ])('%s', (prompt, columns, expected) => {
    expect(render(prompt, columns)).toBe(expected);
  });

  test('braces in the data are text', () => {
    fc.assert(fc.property(fc.string(), (text) => render('<{t}>', { t: text }) === `<${text}>`));
  });

  test.each([
    ['{text It was', /^CONFIG_INVALID: prompt: a lone "\{" in "\{text It was"; write it twice/],
    ['{text}} It was', /^CONFIG_INVALID: prompt: a lone "\}" in/],
    ['It was', /^CONFIG_INVALID: prompt: "It was" reads no column; name one/],
    ['{{text}}', /reads no column/],
  ])('%s is refused', (prompt, message) => {
    expect(refusal(() => parseTemplate(prompt))).toMatch(message);
  });

  test.each([
    [{ text: null }, /^DATA_INVALID: f.csv:7: column "text" is neither text nor a number/],
    [{ text: ['a'] }, /neither text nor a number/],
    [{ words: 'a' }, /^DATA_INVALID: f.csv:7: no column "text"; it has "words"/],
    [Object.create({ text: 'inherited' }) as Record<string, unknown>, /no column "text"; it has none/],
  ])('a row without a usable column is refused: %#', (columns, message) => {
    expect(refusal(() => render('{text}', columns))).toMatch(message);
  });
});
