/**
 * Stochastic gradient descent with momentum — Polyak 1964; Sutskever et al. 2013 — as PyTorch arranges it, undamped:
 *
 *     m ← μ m + g,        Δ = -η m
 *
 * @module
 */
import type { Floats } from './adamw.ts';

/**
 * One step of one tensor.
 *
 * @param g (n,) gradient; overwritten by Δ, in units of weights.
 * @param m (n,) velocity, 0 before the first step; updated. @param momentum μ @param rate η
 */
export function sgd(g: Floats, m: Floats, momentum: number, rate: number): void {
  for (let i = 0; i < g.length; i++) {
    const velocity = momentum * m[i]! + g[i]!;
    m[i] = velocity;
    g[i] = -rate * velocity;
  }
}
