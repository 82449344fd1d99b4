import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Fault } from '../../src/faults.ts';
import { checkRange, exponentOf, MIN_EXPONENT, powerOfTwo, quantise } from '../../src/numeric/fixed.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';

const weights = fc
  .array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 20 })
  .map((list) => Float32Array.from(list));

test('the exponent read off the bits is the smallest that satisfies the definition', () => {
  const edges = [2, -2, 2.0000002, 4, 1024, 3.4e38, 2 ** 100, 1e-45, 0].map((w) => Float32Array.of(w));
  fc.assert(
    fc.property(fc.oneof(weights, fc.constantFrom(...edges)), (w) => {
      const peak = Math.max(...w.map(Math.abs));
      let e = MIN_EXPONENT;
      while (peak > 2 ** 28 * 2 ** e) e += 1;
      expect(exponentOf(w, 'w')).toBe(e);
    }),
  );
});

test('q is the nearest integer, |q| <= 2^28, and going back is off by half a step at most', () => {
  fc.assert(
    fc.property(weights, (w) => {
      const e = exponentOf(w, 'w');
      const q = new Int32Array(w.length);
      quantise(w, e, q);
      const back = new Float32Array(w.length);
      referenceKernels().materialise(q, e, back);
      for (let i = 0; i < w.length; i++) {
        expect(Math.abs(q[i]!)).toBeLessThanOrEqual(2 ** 28);
        const off = Math.abs(q[i]! - w[i]! / 2 ** e);
        expect(off).toBeLessThanOrEqual(0.5);
        // 2^28 has more bits than an f32: fround may add half of its own unit, 2^4.
        expect(Math.abs(back[i]! - w[i]!) / 2 ** e).toBeLessThanOrEqual(0.5 + 8);
      }
      const again = new Float32Array(w.length);
      quantise(back, e, q);
      referenceKernels().materialise(q, e, again);
      expect(again).toEqual(back); // what was exported is imported unchanged
    }),
  );
});

test('weights that are integers of the grid survive the round trip exactly', () => {
  const w = Float32Array.of(2 ** -27, -3 * 2 ** -27, 1.5, -2, 0);
  const q = new Int32Array(5);
  quantise(w, exponentOf(w, 'w'), q);
  expect([...q]).toEqual([1, -3, 1.5 * 2 ** 27, -(2 ** 28), 0]);
  const back = new Float32Array(5);
  referenceKernels().materialise(q, -27, back);
  expect(back).toEqual(w);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
  '%d in a base is refused by place',
  (bad) => {
    const w = Float32Array.of(1, 2, bad, 4);
    expect(() => exponentOf(w, 'lm_head.weight')).toThrow(
      /^MODEL_INVALID: tensor "lm_head.weight" holds \S+ at element 2/,
    );
  },
);

test('a weight beyond 2^30 is the fault RANGE', () => {
  checkRange(2 ** 30, 'w');
  expect(() => checkRange(2 ** 30 + 1, 'w')).toThrow(Fault);
});

test('powers of two are exact', () => {
  for (let e = -1022; e <= 1023; e++) expect(powerOfTwo(e)).toBe(2 ** e);
});
