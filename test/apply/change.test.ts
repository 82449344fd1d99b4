/** A step of floats becomes integers in one rounding, and a weight that leaves its range shows. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addChange, isDecayed } from '../../src/apply/change.ts';
import { MAX_Q } from '../../src/numeric/fixed.ts';

test('q moves by the change in units of 2^e, to the nearest, less its decayed part', () => {
  const step = fc.record({
    q: fc.integer({ min: -(2 ** 28), max: 2 ** 28 }),
    change: fc.double({ min: -0.5, max: 0.5, noNaN: true }),
    decay: fc.double({ min: 0, max: 0.1, noNaN: true }),
    exponent: fc.integer({ min: -27, max: -10 }),
  });
  fc.assert(
    fc.property(step, ({ q, change, decay, exponent }) => {
      const array = Int32Array.of(q);
      const peak = addChange(array, exponent, [change], decay);
      expect(Math.abs(array[0]! - (q + change * 2 ** -exponent - decay * q))).toBeLessThanOrEqual(0.5 + 1e-6);
      expect(peak).toBe(Math.abs(array[0]!));
    }),
  );
});

test('the peak is of all elements, and tells of sums that int32 could not hold, and of what is no number', () => {
  expect(addChange(Int32Array.of(5, -9, 3), 0, [0, 0, 0], 0)).toBe(9);
  expect(addChange(Int32Array.of(MAX_Q, 0), -27, [8, 0], 0)).toBe(2 * MAX_Q);
  expect(addChange(Int32Array.of(1, 2, 3), 0, [0, Number.NaN, 0], 0)).toBeNaN();
  expect(addChange(Int32Array.of(1), 0, [Number.POSITIVE_INFINITY], 0)).toBe(Number.POSITIVE_INFINITY);
});

test('matrices decay, vectors do not', () => {
  expect([isDecayed([3, 4]), isDecayed([4])]).toEqual([true, false]);
});
