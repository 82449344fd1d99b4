import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pieces, tailStart, textTokens, windows } from '../../src/data/text.ts';
import { opening } from '../../src/data/tokens.ts';
import { fakeEncoder } from './fake.ts';

const SHAKESPEARE = '../shared/data/tiny-shakespeare/input.txt';

describe('windows of text', () => {
  test('each token but the first of a window is scored once, on what stands before it, and no token is used twice', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 1, max: 20 }), (n, window) => {
        const tokens = Int32Array.from({ length: n }, (_, i) => 1000 + i);
        const examples = windows(tokens, window);
        expect(examples.length).toBe(Math.floor(n / (window + 1)));
        examples.forEach((example, i) => {
          const start = 1000 + i * (window + 1);
          expect([...example.tokens]).toEqual(Array.from({ length: window }, (_, k) => start + k));
          expect([...example.at]).toEqual(Array.from({ length: window }, (_, k) => k));
          expect([...example.targets]).toEqual(Array.from({ length: window }, (_, k) => start + k + 1));
        });
      }),
    );
  });

  test('the text is opened once, never closed, however many pieces it is tokenised in', () => {
    const encoder = fakeEncoder(['line']);
    const text = `${'line\n'.repeat(2000)}end`;
    expect(opening(encoder)).toEqual([1]);
    expect([...textTokens(encoder, text)]).toEqual([1, ...Array.from(encoder.encode(text, { special: false }))]);
  });

  test('pieces join to the text and end with a line', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 3000 }), { maxLength: 8 }), (lines) => {
        const text = lines.join('\n');
        const cut = pieces(text);
        expect(cut.join('')).toBe(text);
        for (const piece of cut.slice(0, -1)) expect(piece.endsWith('\n') && piece.length > 2048).toBe(true);
      }),
    );
  });

  test('the held-out tail is a tenth, rounded down', () => {
    expect([tailStart(100, 0.1), tailStart(99, 0.1), tailStart(9, 0.1), tailStart(10, 0)]).toEqual([90, 90, 9, 10]);
  });

  test.skipIf(!existsSync(SHAKESPEARE))(`the pieces of ${SHAKESPEARE} join to it`, () => {
    const text = readFileSync(SHAKESPEARE, 'utf8');
    const cut = pieces(text);
    expect(cut.join('')).toBe(text);
    expect(Math.max(...cut.map((p) => p.length))).toBeLessThan(8192);
  });
});
