/**
 * Causal attention with grouped heads — Vaswani et al. 2017, arXiv:1706.03762, section 3.2; Ainslie et al. 2023,
 * arXiv:2305.13245 (queries share key and value heads).
 *
 * Padding needs no mask of its own: it stands on the right, and no token looks to its right.
 *
 * @module
 */
import type { GraphBuilder } from '../graph/graph.ts';
import type { Value } from '../nouns.ts';
import type { Sketch } from './sided.ts';
import { type Dims, isContinued } from './stage.ts';

export interface Heads {
  /** H: query heads. */
  readonly heads: number;
  /** G: key and value heads; H is a multiple of it. */
  readonly groups: number;
}

/** Far below any score, far above the range's end: the sum with a score stays finite and its exponential is 0. */
const NEVER = -1e30;

/** (T,T): 0 where row t may look at column s, i.e. t - window < s <= t. */
export function causalMask(tokens: number, window: number | null = null): Float32Array {
  const mask = new Float32Array(tokens * tokens);
  for (let t = 0; t < tokens; t++)
    for (let s = 0; s < tokens; s++) if (s > t || (window !== null && s <= t - window)) mask[t * tokens + s] = NEVER;
  return mask;
}

/**
 * What `causal` takes as `mask`: (T,T), or for a text that is continued (S,1,1,T,C+T), 0 where token t of a sequence, at
 * its position starts + t, may look at one of the C before, or at one of the T.
 */
export function causalMasks(
  { tokens, past = 0 }: Dims,
  starts: ArrayLike<number> = [0],
  window: number | null = null,
): Float32Array {
  if (past === 0) return causalMask(tokens, window);
  const columns = past + tokens;
  const masks = new Float32Array(starts.length * tokens * columns);
  const isSeen = (start: number, t: number, column: number): boolean => {
    if (column < past && column >= start) return false; // room that is not filled
    const back = column < past ? start + t - column : t - (column - past);
    return back >= 0 && (window === null || back < window);
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
 * tokens come in and those of these tokens go out (`Stage.cache`).
 * @param q (S,H,T,d) @param k (S,G,T,d) @param v (S,G,T,d), all with their positions in them @returns (S·T, H·d)
 */
export function causal({ g, dims }: Pick<Sketch, 'g' | 'dims'>, q: Value, k: Value, v: Value, heads: Heads): Value {
  const { sequences, tokens, past } = dims;
  if (past !== undefined) {
    g.output('k.new', k);
    g.output('v.new', v);
  }
  if (!past) return attend(g, q, k, v, g.input('mask', [tokens, tokens]), heads);
  const behind = (name: string, x: Value): Value => g.concat([g.input(name, x.shape.with(2, past)), x], 2);
  const mask = g.input('mask', [sequences, 1, 1, tokens, past + tokens]);
  return attend(g, q, behind('k.past', k), behind('v.past', v), mask, heads);
}

/** A program's table (T,n), a row a position, or for a text that is continued (S,1,T,n): goes with (S,heads,T,n). */
export const positionTable = ({ g, dims }: Pick<Sketch, 'g' | 'dims'>, name: string, n: number): Value =>
  g.input(name, isContinued(dims) ? [dims.sequences, 1, dims.tokens, n] : [dims.tokens, n]);

/**
 * softmax(q kᵀ / sqrt(d) + mask) v.
 * @param q (S,H,T,d) @param k (S,G,K,d) @param v (S,G,K,d) @param mask (T,K), or (S,1,1,T,K) @returns (S·T, H·d)
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
