import type { Flat } from '../../src/apply/flat.ts';
import { type Given, type MergeState, settleShares, sumShares } from '../../src/method/merge.ts';
import type { Exchange } from '../../src/nouns.ts';
import { globalNorm } from '../../src/optimizer/clip.ts';

/** A merge whose weights are all in one place. */
export function mergeShares(
  run: Exchange,
  flat: Flat,
  q: Int32Array,
  shares: readonly Given[],
  state: MergeState,
  { round, rate }: { readonly round: number; readonly rate: number },
): { readonly chunks: readonly Uint8Array[]; readonly refused: readonly number[] } {
  const summed = sumShares(run, flat.length, shares, state, round);
  const { mean, refused } = summed;
  if (mean.length === 0) return { chunks: [], refused };
  const norm = globalNorm([mean]);
  return { chunks: settleShares(run, flat, q, summed, state, { round, rate, norm }), refused };
}
