/**
 * Distances between vectors, and the nearest of them. Sums run over differences, in doubles: that of two close vectors
 * far from 0 has no digits left in |x|² + |y|² - 2 x·y.
 *
 * @module
 */
import type { Vector, Vectors } from './vectors.ts';

/** |x - y|²; Infinity where it is beyond a double, which is farther than anything. */
export function squaredDistance(x: Vector, y: Vector): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    const difference = x[i]! - y[i]!;
    sum += difference * difference;
  }
  return sum;
}

/** (n)(n) |x_i - x_j|². */
export function squaredDistances(vectors: Vectors): readonly Float64Array[] {
  const rows = vectors.map(() => new Float64Array(vectors.length));
  for (let i = 0; i < vectors.length; i++)
    for (let j = 0; j < i; j++) rows[i]![j] = rows[j]![i] = squaredDistance(vectors[i]!, vectors[j]!);
  return rows;
}

/** @returns the indices of the k least values, ascending; of equal values the lower index is taken first. */
export function lowest(values: Float64Array, k: number): number[] {
  // Of two infinite values the difference is NaN, and goes by index too.
  const byValue = (i: number, j: number) => values[i]! - values[j]! || i - j;
  return [...values.keys()]
    .sort(byValue)
    .slice(0, k)
    .sort((i, j) => i - j);
}
