/**
 * Attention with grouped heads — Vaswani et al. 2017, arXiv:1706.03762, section 3.2; Ainslie et al. 2023,
 * arXiv:2305.13245 (queries share key and value heads).
 *
 * Under a causal mask padding needs none of its own: it stands on the right, and no token looks to its right. Where all
 * tokens see each other, `paddingMask` hides it.
 *
 * @module
 */
import type { GraphBuilder } from '../graph/graph.ts';
import type { Value } from '../nouns.ts';
import type { Dims, Padded } from './stage.ts';

export interface Heads {
  /** H: query heads. */
  readonly heads: number;
  /** G: key and value heads; H is a multiple of it. */
  readonly groups: number;
}

/** Far below any score, far above the range's end: the sum with a score stays finite and its exponential is 0. */
const NEVER = -1e30;

/** (T, m+T): 0 where row t, at position m + t, may look at column s: m + t - window < s <= m + t. @param before m */
export function causalMask(tokens: number, window: number | null | undefined = null, before = 0): Float32Array {
  const seen = before + tokens;
  const mask = new Float32Array(tokens * seen);
  for (let t = 0; t < tokens; t++)
    for (let s = 0; s < seen; s++)
      if (s > before + t || (window != null && s <= before + t - window)) mask[t * seen + s] = NEVER;
  return mask;
}

/** (S,1,1,1,T): 0 where column s is one of the tokens of its sequence. */
export function paddingMask({ sequences, tokens, lengths }: Padded): Float32Array {
  const mask = new Float32Array(sequences * tokens);
  for (let s = 0; s < sequences; s++) mask.fill(NEVER, s * tokens + lengths[s]!, (s + 1) * tokens);
  return mask;
}

/** (S·T, heads·d) -> (S, heads, T, d). */
export function splitHeads(g: GraphBuilder, x: Value, { sequences, tokens }: Dims, heads: number): Value {
  const headDim = x.shape[1]! / heads;
  return g.transpose(g.reshape(x, [sequences, tokens, heads, headDim]), [0, 2, 1, 3]);
}

/**
 * softmax(q kᵀ / sqrt(d) + mask) v.
 * @param q (S,H,T,d) @param k (S,G,m+T,d) @param v (S,G,m+T,d) @param mask (T,m+T), or (S,1,1,1,T) @returns (S·T, H·d)
 */
export function attend(g: GraphBuilder, q: Value, k: Value, v: Value, mask: Value, { heads, groups }: Heads): Value {
  const [sequences = 0, , tokens = 0, headDim = 0] = q.shape;
  const seen = k.shape[2]!;
  const share = heads / groups; // query heads that share a group: neighbours, so they stack as rows of one product
  const scaled = g.mul(q, g.scalar(1 / Math.sqrt(headDim)));
  const stacked = g.reshape(scaled, [sequences, groups, share * tokens, headDim]);
  const scores = g.matmul(stacked, g.transpose(k, [0, 1, 3, 2]));
  const masked = g.add(g.reshape(scores, [sequences, groups, share, tokens, seen]), mask);
  const weights = g.reshape(g.softmax(masked), [sequences, groups, share * tokens, seen]);
  const mixed = g.reshape(g.matmul(weights, v), [sequences, heads, tokens, headDim]);
  return g.reshape(g.transpose(mixed, [0, 2, 1, 3]), [sequences * tokens, heads * headDim]);
}
