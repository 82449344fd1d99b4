/**
 * Arrays for tests: seeded numbers, and a comparison that says where and by how much.
 *
 * @module
 */
import { expect } from 'vitest';

/** Uniform in [-1, 1), by Marsaglia's xorshift32. */
export function uniform(seed: number, length: number): Float32Array {
  let state = (seed ^ 0x9e3779b9) | 1;
  return Float32Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state / 0x8000_0000;
  });
}

/** Whole numbers in [0, limit). */
export const indices = (seed: number, length: number, limit: number): Int32Array =>
  Int32Array.from(uniform(seed, length), (x) => Math.min(limit - 1, Math.floor(((x + 1) / 2) * limit)));

/** @param tolerance of every element, absolute. */
export function expectClose(
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  expect(got.length, what).toBe(expected.length);
  let [worst, at] = [0, -1];
  for (let i = 0; i < expected.length; i++) {
    const distance = Math.abs(got[i]! - expected[i]!);
    if (!(distance <= worst)) [worst, at] = [distance, i];
  }
  expect(
    worst,
    `${what}: element ${at} of ${expected.length} is ${got[at]}, expected ${expected[at]}`,
  ).toBeLessThanOrEqual(tolerance);
}
