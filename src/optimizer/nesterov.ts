/**
 * Stochastic gradient descent with Nesterov's momentum — Nesterov 1983; Sutskever et al. 2013 — as PyTorch arranges it:
 *
 *     u ← μ u + g,        Δ = -η (g + μ u)
 *
 * The outer step of DiLoCo (Douillard et al. 2023, arXiv:2311.08105, Algorithm 1), whose g is the mean outer gradient.
 *
 * @module
 */
import type { Floats } from './adamw.ts';

/**
 * One step.
 *
 * @param g (n,) gradient; overwritten by Δ. @param u (n,) velocity, 0 before the first step; updated.
 * @param momentum μ @param rate η
 */
export function nesterov(g: Floats, u: Floats, momentum: number, rate: number): void {
  for (let i = 0; i < g.length; i++) {
    const gradient = g[i]!;
    const velocity = momentum * u[i]! + gradient;
    u[i] = velocity;
    g[i] = -rate * (gradient + momentum * velocity);
  }
}
