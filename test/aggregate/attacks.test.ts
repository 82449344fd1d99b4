/** The attacks that defences are measured against (bench/attacks.mjs), beyond what ByzFL has of them. */
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mean } from '../../src/aggregate/mean.ts';
import { trimmedMean } from '../../src/aggregate/trimmed-mean.ts';
import type { Vector, Vectors } from '../../src/aggregate/vectors.ts';

interface Learned {
  readonly z: Float64Array;
}
interface Attacks {
  alie(honest: Vectors, nu: number): Float64Array;
  foe(honest: Vectors, nu: number): Float64Array;
  scaledSignFlip(honest: Vectors, f: number): Float64Array;
  nan(honest: Vectors): Float64Array;
  nothingLearned(z: Vector): Learned;
  learn(before: Learned, honest: Vectors): Learned;
  victimOf(honest: Vectors, learned: Learned): number;
  lineSearch(y: (x: number) => number): number;
  strongest(
    attack: (honest: Vectors, nu: number) => Vector,
    honest: Vectors,
    defence: (bad: Vector) => Vector,
  ): Float64Array;
}
const attacks = (await import(pathToFileURL('bench/attacks.mjs').href)) as Attacks;
const honest = [Float64Array.of(1, 10), Float64Array.of(3, 10), Float64Array.of(2, 13)];

test('the scaled sign flip brings the mean of all to 0', () => {
  const bad = attacks.scaledSignFlip(honest, 2);
  for (const x of mean([...honest, bad, bad])) expect(x).toBeCloseTo(0, 12);
});

test('NaN is NaN in every element', () => {
  expect([...attacks.nan(honest)]).toEqual([Number.NaN, Number.NaN]);
});

describe('mimic', () => {
  test('learns the direction in which honest vectors differ, and copies the farthest along it', () => {
    let learned = attacks.nothingLearned(Float64Array.of(1, 1, 1));
    // They differ along the second coordinate, by much and always; the third is noise.
    for (let t = 0; t < 200; t++) {
      const noise = ((t * 7919) % 13) / 13 - 0.5;
      learned = attacks.learn(learned, [
        Float64Array.of(5, -2, noise),
        Float64Array.of(5, 1, -noise),
        Float64Array.of(5, 7, noise),
      ]);
    }
    expect(Math.abs(learned.z[1]!)).toBeGreaterThan(0.95);
    const now = [Float64Array.of(5, -2, 9), Float64Array.of(5, 1, 0), Float64Array.of(5, 7, 0)];
    expect(attacks.victimOf(now, learned)).toBe(2);
  });
});

describe('the line search', () => {
  test('looks 16 times, never below 0', () => {
    fc.assert(
      fc.property(fc.double({ min: -20, max: 2000, noNaN: true }), (peak) => {
        const looked: number[] = [];
        attacks.lineSearch((x) => {
          looked.push(x);
          return -((x - peak) ** 2);
        });
        expect(looked).toHaveLength(16);
        expect(Math.min(...looked)).toBe(0);
      }),
    );
  });

  test('goes as the reference does: doubles while it rises, then shrinks to either side, halfway where 0 is near', () => {
    const looks = (y: (x: number) => number) => {
      const looked: number[] = [];
      attacks.lineSearch((x) => {
        looked.push(x);
        return y(x);
      });
      return looked.slice(0, 5).map((x) => Number(x.toFixed(6)));
    };
    expect(looks((x) => -x)).toEqual([0, 1, 0.2, 0.04, 0.008]);
    expect(looks((x) => -Math.abs(x - 2.9))).toEqual([0, 1, 3, 7, 3.8]);
  });

  test('finds a single peak to within a quarter of it, or of 1', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 2000, noNaN: true }), (peak) => {
        const found = attacks.lineSearch((x) => -Math.abs(x - peak));
        expect(Math.abs(found - peak)).toBeLessThan(0.25 * Math.max(1, peak));
      }),
    );
  });

  test('goes on doubling where there is no peak, and stays where all is NaN', () => {
    expect(attacks.lineSearch((x) => x)).toBe(2 ** 15 - 1);
    expect(attacks.lineSearch(() => Number.NaN)).toBe(0);
  });
});

test('the strongest attack does more to the defence than any fixed ν that was looked at nearby', () => {
  const x = Array.from({ length: 9 }, (_, i) => Float64Array.of(i, (i * i) % 7, 5 + (i % 3)));
  const centre = mean(x);
  for (const attack of [attacks.alie, attacks.foe]) {
    const defence = (bad: Vector) => trimmedMean([...x, bad, bad], 2);
    const moved = (bad: Vector) => defence(bad).reduce((sum, value, i) => sum + (value - centre[i]!) ** 2, 0);
    const best = moved(attacks.strongest(attack, x, defence));
    for (const nu of [0, 0.5, 1, 1.5]) expect(best, `ν = ${nu}`).toBeGreaterThanOrEqual(moved(attack(x, nu)) - 1e-9);
  }
});
