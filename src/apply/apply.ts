/**
 * Committed rounds → weights: q ← q + Σ c z, in integers (docs/NUMBERS.md 7). The only code that writes weights.
 *
 * @module
 */
import type { Tensor, Weights } from '../model/weights.ts';
import { type Direction, type DirectionKey, type Header, NO_LOSS, type Round, SHARED_SLOT } from '../nouns.ts';
import { coefficient } from '../numeric/coefficient.ts';
import { checkRange } from '../numeric/fixed.ts';
import type { Term } from '../numeric/kernels.ts';
import { everything, type Kept } from '../numeric/mask.ts';
import { roundingWord } from '../numeric/noise.ts';

/** A code and the direction it belongs to. */
export interface Contribution {
  readonly key: DirectionKey;
  readonly code: number;
}

/**
 * The name of record `sample` of a round. Records are numbered over all peers, so who measured one does not matter: one
 * peer with M·K records and M peers with K give the same weights.
 */
export const recordKey = (run: number, round: number, sample: number): DirectionKey => ({
  round,
  run,
  sample,
  slot: SHARED_SLOT,
});

/** The usable codes of a round with their directions. */
export const contributions = (run: number, { header, segments }: Round): readonly Contribution[] =>
  segments.flatMap(({ from, codes }) =>
    [...codes].flatMap((code, i) => (code === NO_LOSS ? [] : [{ key: recordKey(run, header.round, from + i), code }])),
  );

/** What each contribution adds to a tensor. Zero terms are left out. */
export function termsOf({ id, exponent }: Tensor, header: Header, set: readonly Contribution[]): readonly Term[] {
  const terms: Term[] = [];
  for (const { key, code } of set) {
    const c = coefficient(header, code, exponent, roundingWord(key, id));
    if (c !== 0) terms.push({ key, c });
  }
  return terms;
}

/**
 * Applies one round. Any order of its records gives the same bits.
 * @param kept which tensors the round updates: `maskOf` of a run that has a mask.
 * @throws {Fault} RANGE naming the tensor. The weights are no use then: the run has ended.
 */
export function applyRound(
  { tensors, kernels }: Weights,
  direction: Direction,
  run: number,
  round: Round,
  kept: Kept = everything,
): void {
  const set = contributions(run, round);
  for (const tensor of tensors) {
    if (!kept(tensor.id)) continue;
    const terms = termsOf(tensor, round.header, set);
    if (terms.length === 0) continue;
    kernels.apply(tensor.q, tensor, direction.kind, direction.rank, terms);
    checkRange(kernels.checksum(tensor.q, 0, 0).peak, tensor.name);
  }
}
