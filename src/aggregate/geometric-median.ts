/**
 * Geometric median, the z of least Σ |x_i - z|, by the smoothed Weiszfeld algorithm — Pillutla, Kakade, Harchaoui 2022
 * (RFA), arXiv:1912.13445, Algorithm 2:
 *
 *     w_i = 1 / max(ν, |x_i - z|),      z ← Σ w_i x_i / Σ w_i,      T times
 *
 * Within ν of z all vectors weigh the same: where all lie that close to each other, it is their mean.
 *
 * @module
 */
import { squaredDistance } from './distance.ts';
import { received, type Vector, type Vectors } from './vectors.ts';

export interface Weiszfeld {
  /** ν, in units of the vectors. */
  readonly nu?: number;
  /** T */
  readonly iterations?: number;
  /** (d) the first z; 0 as ByzFL has it, so that few iterations end nearer to 0 than they might. */
  readonly start?: Vector;
}

/** @returns (d) @throws {RangeError} as `received`, and unless ν > 0 */
export function geometricMedian(vectors: Vectors, { nu = 0.1, iterations = 3, start }: Weiszfeld = {}): Float64Array {
  const x = received(vectors);
  if (!(nu > 0)) throw new RangeError(`"nu" expected a positive number, got ${nu}`);
  const d = x[0]!.length;
  let z = start ? Float64Array.from(start) : new Float64Array(d);
  for (let t = 0; t < iterations; t++) {
    const next = new Float64Array(d);
    let total = 0;
    for (const one of x) {
      const weight = 1 / Math.max(nu, Math.sqrt(squaredDistance(one, z)));
      total += weight;
      for (let i = 0; i < d; i++) next[i]! += weight * one[i]!;
    }
    z = next.map((sum) => sum / total);
  }
  return z;
}
