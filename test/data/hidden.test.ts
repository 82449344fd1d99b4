import { describe, expect, test } from 'vitest';
import { type Hidden, hiddenCount, hiddenWindows } from '../../src/data/hidden.ts';
import { fakeEncoder, refusal } from './fake.ts';

const MASK = 5;
/** 1 opens a text, 2 closes it. */
const encoder = { ...fakeEncoder(), mask: MASK };
const text = Int32Array.from({ length: 401 }, (_, i) => (i === 0 ? 1 : 100 + i));
const HIDDEN: Hidden = { tokens: text, window: 22, masked: 0.15, seed: 7, part: 'training', file: 'a.txt' };

describe('hidden windows', () => {
  const examples = hiddenWindows(HIDDEN, encoder);

  test('read as the text between special tokens, but for what is hidden, which is what is expected', () => {
    expect(examples).toHaveLength(20);
    for (const [i, { tokens, at, targets }] of examples.entries()) {
      expect([tokens[0], tokens[21], tokens.length]).toEqual([1, 2, 22]);
      expect(at).toHaveLength(hiddenCount(0.15, 20));
      const restored = tokens.slice();
      for (const [p, place] of at.entries()) {
        expect(tokens[place]).toBe(MASK);
        restored[place] = targets[p]!;
      }
      expect(restored.filter((id) => id === MASK)).toHaveLength(0);
      expect(restored.subarray(1, 21)).toEqual(text.subarray(1 + 20 * i, 21 + 20 * i));
    }
  });

  test('the places depend on window, seed and part, and cover the window evenly', () => {
    const places = (hidden: Hidden) => hiddenWindows(hidden, encoder).map(({ at }) => at.join());
    expect(places(HIDDEN)).toEqual(examples.map(({ at }) => at.join()));
    expect(new Set(places(HIDDEN)).size).toBeGreaterThan(15);
    expect(places({ ...HIDDEN, seed: 8 })).not.toEqual(places(HIDDEN));
    expect(places({ ...HIDDEN, part: 'evaluation' })).not.toEqual(places(HIDDEN));
    const long = Int32Array.from({ length: 40_000 }, (_, i) => 100 + (i % 50));
    const counts = new Float64Array(22);
    for (const { at } of hiddenWindows({ ...HIDDEN, tokens: long }, encoder)) for (const place of at) counts[place]!++;
    for (const count of counts.subarray(1, 21)) expect(Math.abs(count / 2000 - 3 / 20)).toBeLessThan(0.04);
  });

  test('at least one is hidden; without a mask token, without a window it is refused', () => {
    expect([hiddenCount(0.001, 10), hiddenCount(0.15, 10), hiddenCount(0.9, 10)]).toEqual([1, 2, 9]);
    expect(refusal(() => hiddenWindows(HIDDEN, fakeEncoder()))).toMatch(
      /^CONFIG_INVALID: task: masked_lm needs a mask/,
    );
    expect(refusal(() => hiddenWindows({ ...HIDDEN, window: 2 }, encoder))).toMatch(/^CONFIG_INVALID: block_size: 2/);
    expect(refusal(() => hiddenWindows({ ...HIDDEN, window: 900 }, encoder))).toMatch(/^DATA_INVALID: a.txt: 400/);
  });
});
