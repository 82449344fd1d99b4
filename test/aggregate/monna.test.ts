/** MoNNA's step (arXiv:2209.10931, Algorithm 1): momentum, half step, and the nearest neighbours of one's own model. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nna } from '../../src/aggregate/nna.ts';
import { addToMomentum, halfStep, mix, quorum } from '../../src/method/monna.ts';

const line = (...values: number[]) => values.map((value) => Float64Array.of(value));

describe('the step', () => {
  test('momentum is damped: a constant gradient is its limit, not 1 / (1 - β) times it', () => {
    const m = new Float64Array(2);
    for (let t = 0; t < 3; t++) addToMomentum(m, Float64Array.of(8, -16), 0.5);
    expect(m).toEqual(Float64Array.of(7, -14)); // (1 - 0.5³) g
  });

  test('without momentum it is the gradient', () => {
    const m = Float32Array.of(5);
    addToMomentum(m, Float32Array.of(3), 0);
    expect(m).toEqual(Float32Array.of(3));
  });

  test('the half step goes against it, and leaves θ', () => {
    const theta = Float64Array.of(1, 2);
    expect(halfStep(theta, Float64Array.of(4, -4), 0.25)).toEqual(Float64Array.of(0, 3));
    expect(theta).toEqual(Float64Array.of(1, 2));
  });

  test('of 11 peers with 2 faults, 9 models are waited for and 7 kept', () => {
    const n = quorum(11, 2);
    const arrived = line(1, 2, 3, 4, 5, 6, 100, -200);
    expect(n).toBe(1 + arrived.length);
    expect(mix(Float64Array.of(0), arrived, 2)).toEqual(Float64Array.of(3)); // 0 … 6
  });
});

describe('the pivot', () => {
  test('is always in: alone where f are all others', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -50, max: 50 }),
        fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 8 }),
        (own, others) => {
          expect(nna(Float64Array.of(own), line(...others), others.length)).toEqual(Float64Array.of(own));
        },
      ),
    );
  });

  test('is in even where squares of distances vanish, and others are as near as can be told', () => {
    expect(nna(Float64Array.of(0), line(1e-200, 1e-200, 1e-200), 3)).toEqual(Float64Array.of(0));
  });

  test('decides: each of two camps stays with itself', () => {
    const camps = line(0, 1, 2, 50, 51, 52);
    expect(nna(camps[0]!, camps.slice(1), 3)).toEqual(Float64Array.of(1));
    expect(nna(camps[5]!, camps.slice(0, 5), 3)).toEqual(Float64Array.of(51));
  });

  test('bounds the result by what honest vectors could do: no farther than the f-th nearest honest one', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 3, maxLength: 8 }),
        fc.array(fc.integer({ min: -1e6, max: 1e6 }), { minLength: 1, maxLength: 2 }),
        (honest, bad) => {
          const [own, ...others] = honest;
          const f = bad.length;
          const reach = Math.max(...others.map((x) => Math.abs(x - own!)));
          const [got] = nna(Float64Array.of(own!), line(...bad, ...others), f);
          expect(Math.abs(got! - own!)).toBeLessThanOrEqual(reach);
        },
      ),
    );
  });

  test('ties go by index', () => {
    expect(nna(Float64Array.of(0), line(2, -2, 2), 2)).toEqual(Float64Array.of(1)); // 0 and the first 2
    expect(nna(Float64Array.of(0), line(-2, 2, 2), 2)).toEqual(Float64Array.of(-1));
  });

  test('too few arrivals, and a broken pivot, are refused; a broken arrival is none', () => {
    expect(() => nna(Float64Array.of(0), line(Number.NaN, Infinity), 1)).toThrow(/expected an integer with 0 <= f < 1/);
    expect(() => nna(Float64Array.of(Number.NaN), line(1), 0)).toThrow(/"pivot"/);
    expect(() => nna(Float64Array.of(0), [Float64Array.of(1, 2)], 0)).toThrow(/elements/);
    expect(nna(Float64Array.of(0), line(Number.NaN, 2, 90), 1)).toEqual(Float64Array.of(1));
    expect(nna(Float64Array.of(0), line(1e200, -1e200, 2), 2)).toEqual(Float64Array.of(1)); // squares beyond a double
  });
});
