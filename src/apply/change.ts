/**
 * A step of floats → weights: q ← q + round(Δ 2⁻ᵉ - η λ q), in one rounding. Weights stay integers as they do for a
 * journal, so digests, checkpoints and export are the same; but Δ comes out of a gradient in floats, and other machines
 * need not make the same.
 *
 * @module
 */
import { powerOfTwo } from '../numeric/fixed.ts';

/**
 * @param q (n,) overwritten. @param change (n,) Δ in units of weights. @param decay η λ: the part of a weight that goes.
 * @returns max |q|, above 2^30 where a sum would have left the range; NaN where Δ was no number. q is no use then.
 */
export function addChange(q: Int32Array, exponent: number, change: ArrayLike<number>, decay: number): number {
  const scale = powerOfTwo(-exponent);
  let peak = 0;
  for (let i = 0; i < q.length; i++) {
    const sum = q[i]! + Math.floor(change[i]! * scale - decay * q[i]! + 0.5);
    const size = Math.abs(sum);
    if (!(size <= peak)) peak = Number.isNaN(peak) ? peak : size;
    q[i] = sum;
  }
  return peak;
}

/** Biases and gains of norms are not decayed (Loshchilov & Hutter's code, the Hugging Face Trainer): no vector is. */
export const isDecayed = (shape: readonly number[]): boolean => shape.length > 1;
