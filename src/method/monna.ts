/**
 * MoNNA — El Mhamdi, Farhadkhani, Guerraoui, Gupta, Hoang 2023, "Robust Collaborative Learning with Linear Gradient
 * Overhead", arXiv:2209.10931, Algorithm 1. Of n peers that all hear each other, up to f say anything. At peer i, step t:
 *
 *     m_i  ← β m_i + (1 - β) g_i(θ_i)             g_i: gradient on the peer's own data
 *     θ_i½ = θ_i - γ_t m_i                         sent to all
 *     θ_i  ← mean of the r - f nearest to θ_i½     of r >= n - f models received, the own one among them
 *
 * docs/papers/monna.md: departures, hyper-parameters, what it is worth.
 *
 * @module
 */
import { nna } from '../aggregate/nna.ts';
import type { Vector, Vectors } from '../aggregate/vectors.ts';

/** How many models a peer waits for, its own among them: the others may never come. */
export const quorum = (n: number, f: number): number => n - f;

/**
 * m ← β m + (1 - β) g, in place. Damped: a rate here is 1 / (1 - β) times that of momentum as PyTorch's SGD has it by default.
 *
 * @param m (d) 0 before the first step. @param g (d) gradient.
 */
export function addToMomentum(m: Vector, g: Vector, beta: number): void {
  for (let i = 0; i < m.length; i++) m[i] = beta * m[i]! + (1 - beta) * g[i]!;
}

/** θ - γ m. @param theta (d) @param m (d) @param rate γ_t @returns (d) */
export const halfStep = (theta: Vector, m: Vector, rate: number): Float64Array =>
  Float64Array.from(theta, (w, i) => w - rate * m[i]!);

/**
 * The model of the next step: the mean of what lies nearest to the peer's own half step.
 *
 * @param own (d) the half step. @param arrived (d) each, those of others; one that is not finite counts as not arrived.
 * @throws {RangeError} unless more than f models, the own one among them, arrived
 */
export const mix = (own: Vector, arrived: Vectors, f: number): Float64Array => nna(own, arrived, f);
