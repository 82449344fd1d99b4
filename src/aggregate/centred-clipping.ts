/**
 * Centred clipping — Karimireddy, He, Jaggi 2021, arXiv:2012.10333, Algorithm 2:
 *
 *     v ← v + (1 / n) Σ (x_i - v) min(1, τ / |x_i - v|),      L times
 *
 * A vector moves the result by at most L τ / n. In training with a server v starts from the last aggregate; among peers
 * from a peer's own vector (self-centred clipping, He, Karimireddy, Jaggi 2022, arXiv:2202.01545).
 *
 * @module
 */
import { squaredDistance } from './distance.ts';
import { received, type Vector, type Vectors } from './vectors.ts';

export interface Clipping {
  /** (d) where v starts from. */
  readonly centre: Vector;
  /** τ, in units of the vectors. */
  readonly radius: number;
  /** L */
  readonly iterations?: number;
}

/** @returns (d) @throws {RangeError} as `received`, and unless τ >= 0 */
export function centredClipping(vectors: Vectors, { centre, radius, iterations = 1 }: Clipping): Float64Array {
  const x = received(vectors);
  if (!(radius >= 0)) throw new RangeError(`"radius" expected a number from 0, got ${radius}`);
  const v = Float64Array.from(centre);
  for (let l = 0; l < iterations; l++) {
    const move = new Float64Array(v.length);
    for (const one of x) {
      const distance = Math.sqrt(squaredDistance(one, v));
      const part = distance > radius ? radius / distance : 1;
      for (let i = 0; i < v.length; i++) move[i]! += part * (one[i]! - v[i]!);
    }
    for (let i = 0; i < v.length; i++) v[i]! += move[i]! / x.length;
  }
  return v;
}
