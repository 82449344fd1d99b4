import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { extent, paceOf, perRound, positive, smoothed, thinned } from '../../src/web/series.ts';

describe('smoothing', () => {
  test('weight 0 changes nothing, a constant stays itself, gaps stay gaps', () => {
    expect(smoothed([3, 1, 2], 0)).toEqual([3, 1, 2]);
    for (const value of smoothed([7, 7, 7, 7], 0.9)) expect(value).toBeCloseTo(7, 12);
    expect(smoothed([null, 4, null, 4], 0.5)).toEqual([null, 4, null, 4]);
  });

  test('is the weighted mean of all values so far, the weights falling by the factor', () => {
    const [, , third] = smoothed([1, 2, 4], 0.5);
    expect(third).toBeCloseTo((1 * 0.25 + 2 * 0.5 + 4) / 1.75, 12);
  });

  test('stays within what it is made of', () => {
    const values = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1 });
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 0.98, noNaN: true }), (raw, weight) => {
        const room = 1e-6 * Math.max(...raw.map(Math.abs), 1);
        for (const value of smoothed(raw, weight)) {
          expect(value).toBeGreaterThanOrEqual(Math.min(...raw) - room);
          expect(value).toBeLessThanOrEqual(Math.max(...raw) + room);
        }
      }),
    );
  });
});

describe('pace', () => {
  const every = (ms: number, rounds: number) =>
    Array.from({ length: rounds }, (_, i) => ({ round: i + 1, at: i * ms }));

  test('rounds a second, time left and time of a round, over the latest rounds only', () => {
    expect(paceOf(every(500, 5), 11)).toEqual({ rate: 2, left: 3, roundMs: 500 });
    const changed = [...every(5000, 5), ...every(100, 20).map(({ round, at }) => ({ round: round + 5, at: at + 1e5 }))];
    expect(paceOf(changed, 100, 10)?.roundMs).toBe(100);
  });

  test('is not known before two rounds, nor where the clock stands still', () => {
    expect(paceOf([], 10)).toBeUndefined();
    expect(paceOf(every(500, 1), 10)).toBeUndefined();
    expect(paceOf(every(0, 3), 10)).toBeUndefined();
  });
});

test('a counter becomes what each round added, shared evenly where rounds are left out', () => {
  const points = [
    { round: 1, wire: 100 },
    { round: 2, wire: 150 },
    { round: 4, wire: 350 },
  ];
  expect(perRound(points)).toEqual([
    { round: 2, value: 50 },
    { round: 4, value: 100 },
  ]);
});

test('lowest and highest leave gaps out, and a logarithm leaves out what has none', () => {
  expect(extent([null, 3, Number.NaN, -1])).toEqual([-1, 3]);
  expect(extent([null])).toBeUndefined();
  expect(positive([1, 0, -2, null])).toEqual([1, null, null, null]);
});

test('thinning keeps the ends, the order and short lists', () => {
  const long = Array.from({ length: 1001 }, (_, i) => i);
  const thin = thinned(long, 100);
  expect([thin[0], thin.at(-1), thin.length]).toEqual([0, 1000, 100]);
  expect([...thin].sort((a, b) => a - b)).toEqual([...thin]);
  expect(thinned(long, 2000)).toBe(long);
});
