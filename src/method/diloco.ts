/**
 * DiLoCo — Douillard et al. 2023, arXiv:2311.08105, Algorithm 1 — and, with fragments, its streaming form
 * (Douillard et al. 2025, arXiv:2501.18512, Algorithm 2): peers train by themselves for H steps and exchange how far they
 * came.
 *
 *     peer i:   θ_i ← θ,  H steps of AdamW on its own data,  g_i = θ - θ_i          its share
 *     merge:    g = mean of the shares that came,  u ← μ u + g,  θ ← θ - η (g + μ u)
 *
 * Streaming: a round merges one fragment of the weights; a peer goes on for τ steps while it is merged, and then takes
 * θ_p ← α θ_i,p + (1 - α) θ_p. A peer that kept its share to itself keeps its weights as well.
 *
 * docs/papers/diloco.md: equations, departures, hyper-parameters.
 *
 * @module
 */

/**
 * θ_i ← α θ_i + (1 - α) θ, in whole steps of the weights.
 * @param local (n,) overwritten. @param merged (n,) @param mixing α
 */
export function mix(local: Int32Array, merged: Int32Array, mixing: number): void {
  for (let i = 0; i < local.length; i++) local[i] = merged[i]! + Math.floor(mixing * (local[i]! - merged[i]!) + 0.5);
}
