import fc from 'fast-check';
import { expect, test } from 'vitest';
import { logTicks } from '../../src/web/axis.ts';

test.each([
  [100, 1e7, [100, 1000, 10_000, 100_000, 1e6, 1e7]],
  [0.9, 60, [1, 2, 5, 10, 20, 50]],
  [0.15, 0.7, [0.2, 0.3, 0.4, 0.5, 0.6, 0.7]],
  [5, 15, [6, 8, 10, 12, 14]],
])('from %d to %d', (low, high, ticks) => {
  expect(logTicks(low, high)).toEqual(ticks);
});

test('nothing where there is no logarithm or no extent', () => {
  for (const [low, high] of [
    [0, 1],
    [-1, 1],
    [1, 1],
    [1, Number.POSITIVE_INFINITY],
    [Number.NaN, 1],
  ] as const)
    expect(logTicks(low, high)).toEqual([]);
});

test('always two to twenty ticks, ascending, inside', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1e-9, max: 1e9, noNaN: true }),
      fc.double({ min: 1.2, max: 1e9, noNaN: true }),
      (low, by) => {
        const ticks = logTicks(low, low * by);
        expect(ticks.length).toBeGreaterThanOrEqual(2);
        expect(ticks.length).toBeLessThanOrEqual(20);
        for (const [i, tick] of ticks.entries()) {
          expect(tick).toBeGreaterThanOrEqual(low * (1 - 1e-8));
          expect(tick).toBeLessThanOrEqual(low * by * (1 + 1e-8));
          if (i > 0) expect(tick).toBeGreaterThan(ticks[i - 1]!);
        }
      },
    ),
  );
});
