/**
 * Slopes that were measured and stay on this machine → weights: q ← q - round(gain g 2⁻ᵉ) z, each record with the noise
 * it was measured along. What `apply.ts` does with bytes, without the byte.
 *
 * @module
 */
import type { Weights } from '../model/weights.ts';
import type { Direction, DirectionKey } from '../nouns.ts';
import { checkRange, MAX_Q, powerOfTwo } from '../numeric/fixed.ts';
import type { Term } from '../numeric/kernels.ts';
import type { Kept } from '../numeric/mask.ts';
import { isMatrix } from '../numeric/noise.ts';

export interface Slope {
  readonly key: DirectionKey;
  /** Loss per unit of direction; one that is no number is left out. */
  readonly slope: number;
}

/** Largest |z| of binomial noise. */
const MAX_BINOMIAL = 8;

/**
 * @param gain learning rate × direction scale / number of records.
 * @throws {Fault} RANGE naming the tensor. The weights are no use then.
 */
export async function applySlopes(
  weights: Weights,
  { kind, rank }: Direction,
  slopes: readonly Slope[],
  gain: number,
  kept: Kept,
): Promise<void> {
  const usable = slopes.filter(({ slope }) => Number.isFinite(slope));
  const termsAt = (exponent: number): readonly Term[] => {
    const unit = gain * powerOfTwo(-exponent);
    return usable.map(({ key, slope }) => ({ key, c: -Math.floor(slope * unit + 0.5) }));
  };
  for (const { id, name, exponent, shape } of weights.tensors) {
    if (!kept(id)) continue;
    const z = kind === 'binomial' ? MAX_BINOMIAL : kind === 'lowrank' && isMatrix(shape) ? rank : 1;
    const rise = z * termsAt(exponent).reduce((sum, { c }) => sum + Math.abs(c), 0);
    const largest = weights.reach[id]! + rise > MAX_Q ? await peakOf(weights, name) : weights.reach[id]!;
    // Before it is added: a coefficient beyond int32 would not be what it says.
    checkRange(largest + rise, name);
    weights.reach[id] = largest + rise;
  }
  weights.owe({
    kind,
    rank,
    terms: ({ id, exponent }) => (kept(id) ? termsAt(exponent).filter(({ c }) => c !== 0) : []),
  });
}

const peakOf = (weights: Weights, name: string): Promise<number> =>
  weights.visit(name, ({ kernels, tensor }) => kernels.peak(tensor(name).q));
