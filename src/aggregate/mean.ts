/**
 * The mean, what training without a defence takes: one vector moves it anywhere (Blanchard et al. 2017, Lemma 1).
 *
 * @module
 */
import { received, type Vectors } from './vectors.ts';

/** (1 / n) Σ x_i. @returns (d) @throws {RangeError} as `received` */
export const mean = (vectors: Vectors): Float64Array => average(received(vectors));

/** The mean of vectors that are known to be finite, of one length, and at least one. @returns (d) */
export function average(vectors: Vectors): Float64Array {
  const out = new Float64Array(vectors[0]!.length);
  for (const x of vectors) for (let i = 0; i < out.length; i++) out[i]! += x[i]!;
  for (let i = 0; i < out.length; i++) out[i]! /= vectors.length;
  return out;
}
