/**
 * AdamW — Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2, with the bias correction of Kingma & Ba 2015,
 * arXiv:1412.6980, as PyTorch arranges it:
 *
 *     m ← β1 m + (1 - β1) g,    v ← β2 v + (1 - β2) g²
 *     Δ = -η m / (1 - β1ᵗ) / (√v / √(1 - β2ᵗ) + ε),        θ ← θ + Δ - η λ θ
 *
 * Here is Δ; the decay λ is added with it, in one rounding (`apply/change.ts`). Departures: docs/papers/backprop.md.
 *
 * @module
 */

/** Values that are computed on in doubles, whatever they are kept in. */
export type Floats = Float32Array | Float64Array;

export interface Adam {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
}

/** β1ᵗ and β2ᵗ after t steps: carried along, since no library power is the same everywhere. */
export interface Powers {
  readonly beta1: number;
  readonly beta2: number;
}

export const noPowers: Powers = { beta1: 1, beta2: 1 };

export const nextPowers = (powers: Powers, { beta1, beta2 }: Adam): Powers => ({
  beta1: powers.beta1 * beta1,
  beta2: powers.beta2 * beta2,
});

/** What a step divides by, or is multiplied with, to make up for moments that began at 0. @param rate η */
export const correction = (powers: Powers, rate: number): { readonly step: number; readonly root: number } => ({
  step: rate / (1 - powers.beta1),
  root: Math.sqrt(1 - powers.beta2),
});

/**
 * One step of one tensor.
 *
 * @param g (n,) gradient; overwritten by Δ, in units of weights.
 * @param m (n,) @param v (n,) moments, 0 before the first step; updated.
 * @param powers of this step: after `nextPowers`. @param rate η
 */
export function adamw(
  g: Floats,
  m: Floats,
  v: Floats,
  { beta1, beta2, epsilon }: Adam,
  powers: Powers,
  rate: number,
): void {
  const { step, root } = correction(powers, rate);
  for (let i = 0; i < g.length; i++) {
    const gradient = g[i]!;
    const mean = beta1 * m[i]! + (1 - beta1) * gradient;
    const square = beta2 * v[i]! + (1 - beta2) * gradient * gradient;
    m[i] = mean;
    v[i] = square;
    g[i] = (-step * mean) / (Math.sqrt(square) / root + epsilon);
  }
}
