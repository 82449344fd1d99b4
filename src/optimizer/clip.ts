/**
 * Clipping of a gradient by its norm over all tensors — Pascanu, Mikolov, Bengio 2013, arXiv:1211.5063, Algorithm 1.
 *
 * @module
 */
import type { Floats } from './adamw.ts';

/** What PyTorch adds to the norm that it divides by. */
const GUARD = 1e-6;

/** Euclidean norm over all arrays, summed in their order. */
export function globalNorm(gradients: Iterable<Floats>): number {
  let sum = 0;
  for (const g of gradients) sum += squares(g);
  return Math.sqrt(sum);
}

/** Σ x², as four sums of every fourth element each: one would wait for itself at every addition. */
export function squares(x: Floats): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = x.length - (x.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += x[i]! * x[i]!;
    b += x[i + 1]! * x[i + 1]!;
    c += x[i + 2]! * x[i + 2]!;
    d += x[i + 3]! * x[i + 3]!;
  }
  for (let i = whole; i < x.length; i++) a += x[i]! * x[i]!;
  return a + b + (c + d);
}

/** What to multiply a gradient with so that its norm is at most about `most`; 1 where it is. @param most 0: no limit. */
export const clipFactor = (norm: number, most: number): number => (most === 0 ? 1 : Math.min(1, most / (norm + GUARD)));

/** g ← factor g. */
export function scale(g: Floats, factor: number): void {
  if (factor === 1) return;
  for (let i = 0; i < g.length; i++) g[i]! *= factor;
}
