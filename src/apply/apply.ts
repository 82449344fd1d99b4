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

/** What each contribution adds to a tensor. Zero terms are left out. @param words a rounding word for each, of this tensor. */
export function termsOf(
  { exponent }: Pick<Tensor, 'exponent'>,
  header: Header,
  set: readonly Contribution[],
  words: Uint32Array,
): readonly Term[] {
  const terms: Term[] = [];
  for (const [i, { key, code }] of set.entries()) {
    const c = coefficient(header, code, exponent, words[i]!);
    if (c !== 0) terms.push({ key, c });
  }
  return terms;
}

/**
 * Applies one round. Any order of its records gives the same bits.
 * @throws {Fault} RANGE naming the tensor. The weights are no use then: the run has ended.
 */
export function applyRound({ tensors, kernels }: Weights, direction: Direction, run: number, round: Round): void {
  const set = contributions(run, round);
  for (const tensor of tensors) {
    const terms = termsOf(tensor, round.header, set, kernels.roundingWords(tensor.id, set));
    if (terms.length === 0) continue;
    kernels.apply(tensor.q, tensor, direction.kind, direction.rank, terms);
    checkRange(kernels.peak(tensor.q), tensor.name);
  }
}
