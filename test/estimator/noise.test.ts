import { describe, expect, test } from 'vitest';
import { relativeNoise } from '../../src/estimator/noise.ts';

describe('relative noise', () => {
  const exact = [3, -4, 0, 12];

  test('is the size of the difference over that of the slopes: a scaled copy is off by its factor less 1', () => {
    for (const factor of [1, 1.5, 0, -1])
      expect(
        relativeNoise(
          exact.map((g) => factor * g),
          exact,
        ),
      ).toBeCloseTo(Math.abs(factor - 1), 12);
    expect(relativeNoise([3, -4, 1, 12], exact)).toBeCloseTo(1 / 13, 12);
    expect(relativeNoise(exact, [6, -8, 0, 24]), 'of the exact ones').toBeCloseTo(1 / 2, 12);
  });

  test('leaves out pairs with a slope that is not a number', () => {
    expect(relativeNoise([...exact, Number.NaN, 1], [...exact, 1, Number.POSITIVE_INFINITY])).toBe(0);
  });

  test('is no number where nothing can be told', () => {
    expect(relativeNoise([], [])).toBeNaN();
    expect(relativeNoise([Number.NaN], [1])).toBeNaN();
    expect(relativeNoise([1], [0])).toBeNaN();
  });
});
