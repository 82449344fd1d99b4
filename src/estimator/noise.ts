/**
 * What a coarse arithmetic adds to slopes.
 *
 * @module
 */

const sumOfSquares = (values: readonly number[]): number => values.reduce((sum, x) => sum + x * x, 0);

/**
 * Root mean square of what `measured` differs by, over that of `exact`. Noise that has nothing to do with the slope adds
 * its power to a step's: with a relative noise σ, a step is as good as one of 1 / (1 + σ²) as many records.
 *
 * @param measured @param exact slopes of the same probes. Those that are not numbers in either are left out.
 * @returns NaN where none is left or all slopes are 0.
 */
export function relativeNoise(measured: readonly number[], exact: readonly number[]): number {
  const both = exact.flatMap((g, i) => (Number.isFinite(g) && Number.isFinite(measured[i]) ? [[measured[i]!, g]] : []));
  const apart = sumOfSquares(both.map(([a, b]) => a! - b!));
  const whole = sumOfSquares(both.map(([, b]) => b!));
  return whole === 0 ? Number.NaN : Math.sqrt(apart / whole);
}
