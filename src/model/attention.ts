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
import { PREFIX_KEY, PREFIX_VALUE } from './adapter.ts';
import type { Sketch } from './sided.ts';
import { type Dims, isContinued, type Padded } from './stage.ts';

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

/**
 * What `causal` takes as `mask`: (T,m+T), or for a text that is continued (S,1,1,T,m+C+T), 0 where token t of a sequence,
 * at position m + starts + t, may look at one of a prefix of m, at one of the C before it, or at one of the T.
 */
export function causalMasks(
  { tokens, past = 0, before = 0 }: Dims,
  starts: ArrayLike<number> = [0],
  window: number | null | undefined = null,
): Float32Array {
  if (past === 0) return causalMask(tokens, window, before);
  const columns = before + past + tokens;
  const masks = new Float32Array(starts.length * tokens * columns);
  const isSeen = (start: number, t: number, column: number): boolean => {
    const own = column - before;
    if (own >= 0 && own < past && own >= start) return false; // room that is not filled
    const back = own < past ? start + t - own : t - (own - past);
    return back >= 0 && (window == null || back < window);
  };
  for (let s = 0; s < starts.length; s++)
    for (let t = 0; t < tokens; t++)
      for (let column = 0; column < columns; column++)
        if (!isSeen(starts[s]!, t, column)) masks[(s * tokens + t) * columns + column] = NEVER;
  return masks;
}

/** (S·T, heads·d) -> (S, heads, T, d). */
export function splitHeads(g: GraphBuilder, x: Value, { sequences, tokens }: Dims, heads: number): Value {
  const headDim = x.shape[1]! / heads;
  return g.transpose(g.reshape(x, [sequences, tokens, heads, headDim]), [0, 2, 1, 3]);
}

/**
 * Causal attention, with the program's input `mask`: `causalMasks`. Where texts are written, keys and values of earlier
 * tokens come in and those of these tokens go out (`Stage.cache`). A prefix stands before all.
 * @param q (S,H,T,d) @param k (S,G,T,d) @param v (S,G,T,d), all with their positions in them
 * @param at what the names of a prefix begin with: `self_attn.` @returns (S·T, H·d)
 */
export function causal(s: Sketch, q: Value, k: Value, v: Value, heads: Heads, at: string): Value {
  const { g, dims } = s;
  const { sequences, tokens, past, before = 0 } = dims;
  if (past !== undefined) {
    g.output('k.new', k);
    g.output('v.new', v);
  }
  const behind = (name: string, x: Value): Value => (past ? g.concat([g.input(name, x.shape.with(2, past)), x], 2) : x);
  const keys = s.prefixed(behind('k.past', k), at + PREFIX_KEY);
  const values = s.prefixed(behind('v.past', v), at + PREFIX_VALUE);
  const mask = past
    ? g.input('mask', [sequences, 1, 1, tokens, before + past + tokens])
    : g.input('mask', [tokens, before + tokens]);
  return attend(g, q, keys, values, mask, heads);
}

/** A program's table (T,n), a row a position, or for a text that is continued (S,1,T,n): goes with (S,heads,T,n). */
export const positionTable = ({ g, dims }: Pick<Sketch, 'g' | 'dims'>, name: string, n: number): Value =>
  g.input(name, isContinued(dims) ? [dims.sequences, 1, dims.tokens, n] : [dims.tokens, n]);

/**
 * softmax(q kᵀ / sqrt(d) + mask) v.
 * @param q (S,H,T,d) @param k (S,G,K,d) @param v (S,G,K,d) @param mask (T,K), (S,1,1,T,K) or (S,1,1,1,K) @returns (S·T, H·d)
 */
export function attend(g: GraphBuilder, q: Value, k: Value, v: Value, mask: Value, { heads, groups }: Heads): Value {
  const [sequences = 0, , tokens = 0, headDim = 0] = q.shape;
  const keys = k.shape[2]!;
  const share = heads / groups; // query heads that share a group: neighbours, so they stack as rows of one product
  const scaled = g.mul(q, g.scalar(1 / Math.sqrt(headDim)));
  const stacked = g.reshape(scaled, [sequences, groups, share * tokens, headDim]);
  const scores = g.matmul(stacked, g.transpose(k, [0, 1, 3, 2]));
  const masked = g.add(g.reshape(scores, [sequences, groups, share, tokens, keys]), mask);
  const weights = g.reshape(g.softmax(masked), [sequences, groups, share * tokens, keys]);
  const mixed = g.reshape(g.matmul(weights, v), [sequences, heads, tokens, headDim]);
  return g.reshape(g.transpose(mixed, [0, 2, 1, 3]), [sequences * tokens, heads * headDim]);
}
