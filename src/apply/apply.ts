/**
 * Committed rounds → weights: q ← q + Σ c z, in integers (docs/NUMBERS.md 6).
 *
 * @module
 */
import type { Fixed, Weights } from '../model/weights.ts';
import {
  type Direction,
  type DirectionKey,
  type Header,
  type Manifest,
  NO_LOSS,
  type Round,
  type ScalarAggregation,
  SHARED_SLOT,
} from '../nouns.ts';
import { SCALE_UNIT } from '../numeric/byte.ts';
import { coefficientOf } from '../numeric/coefficient.ts';
import { checkRange, MAX_Q, powerOfTwo } from '../numeric/fixed.ts';
import type { Term } from '../numeric/kernels.ts';
import { everything, type Kept } from '../numeric/mask.ts';
import { type Drawing, directionKey, poolOf } from '../numeric/names.ts';
import { isMatrix, roundingWord } from '../numeric/noise.ts';
import { merged } from '../numeric/terms.ts';
import { scalarsOf } from './scalars.ts';

/** Largest |z| of binomial noise: 8 of 16 bits more or fewer than half. */
const MAX_BINOMIAL = 8;

/** A code and the direction it belongs to, or what was made of the codes along one direction. */
export interface Contribution {
  readonly key: DirectionKey;
  /** The record's own name, of the word that rounds it: records may share a direction, not a word. */
  readonly own: DirectionKey;
  /** Brought into the clip. What was made of several codes may be a fraction. */
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

/** The usable codes of a round with their directions. @param drawing says which, if not each record its own */
export const contributions = (run: number, { header, segments }: Round, drawing?: Drawing): readonly Contribution[] =>
  segments.flatMap(({ from, codes }) =>
    [...codes].flatMap((code, i) => {
      if (code === NO_LOSS) return [];
      const own = recordKey(run, header.round, from + i);
      const clipped = Math.max(-header.clip, Math.min(header.clip, code));
      return [{ key: drawing ? directionKey(drawing, own) : own, own, code: clipped }];
    }),
  );

/** What a rule makes of a round whose directions are shared: one for each, named as the record of the same number is. */
const aggregates = (
  run: number,
  round: Round,
  by: ScalarAggregation,
  shared: number,
  drawing: Drawing,
): readonly Contribution[] =>
  scalarsOf(by, shared, round).map(({ direction, amount }) => {
    const own = recordKey(run, round.header.round, direction);
    return { key: directionKey(drawing, own), own, code: amount };
  });

/** All that a round adds. */
function pullsOf(
  run: number,
  round: Round,
  direction: Direction,
  directions: Manifest['directions'],
  by: ScalarAggregation | undefined,
): readonly Contribution[] {
  const drawing = { direction, ...(directions ? { directions } : {}) };
  if (by && directions && 'shared' in directions) return aggregates(run, round, by, directions.shared, drawing);
  return contributions(run, round, drawing);
}

/** What each contribution adds to a tensor. Zero terms are left out. @param words a rounding word for each, of this tensor. */
export function termsOf(
  { exponent }: Fixed,
  header: Header,
  set: readonly Contribution[],
  words: Uint32Array,
): readonly Term[] {
  const terms: Term[] = [];
  for (const [i, { key, code }] of set.entries()) {
    const c = coefficientOf(header, code, exponent, words[i]!);
    if (c !== 0) terms.push({ key, c });
  }
  return terms;
}

/**
 * Upper bound of what a round adds to |q|: |z| times Σ |c|, where |c| is less than one above what is rounded.
 * @param codes Σ |code| of the n records.
 */
function rise({ exponent, shape }: Fixed, { kind, rank }: Direction, header: Header, codes: number, n: number): number {
  const z = kind === 'binomial' ? MAX_BINOMIAL : kind === 'lowrank' && isMatrix(shape) ? rank : 1;
  return z * (header.gain * (header.scale * SCALE_UNIT) * codes * powerOfTwo(-exponent) + n);
}

/** Weights that are not looked at while rounds are owed: on the way to what they come to, sums may be anything. */
export const unseen = (weights: Weights): Weights => ({
  ...weights,
  reach: new Float64Array(weights.tensors.length).fill(Number.NEGATIVE_INFINITY),
});

/**
 * Looks at all of them in the end.
 * @throws {Fault} RANGE naming the tensor
 */
export async function lookAtAll(weights: Weights): Promise<void> {
  for (const { id, name } of weights.tensors) {
    const peak = await weights.visit(name, ({ kernels, tensor }) => kernels.peak(tensor(name).q));
    weights.reach[id] = peak;
    checkRange(peak, name);
  }
}

/**
 * Owes a round to the weights: it is added to each tensor when that is next looked at, in any order, to the same bits.
 * Only where a weight might leave its range is it added now, and looked at.
 *
 * @param kept which tensors the round updates: `maskOf` of a run that has a mask.
 * @param age rounds since it was measured: an optimizer with momentum adds it again, rounded by words of its own.
 * @param directions which the records share, if they do. @param by what is made of those along one; absent: their sum.
 * @throws {Fault} RANGE naming the tensor. The weights are no use then: the run has ended.
 */
export async function applyRound(
  weights: Weights,
  direction: Direction,
  run: number,
  round: Round,
  kept: Kept = everything,
  age = 0,
  directions?: Manifest['directions'],
  by?: ScalarAggregation,
): Promise<void> {
  const { header } = round;
  const set = pullsOf(run, round, direction, directions, by);
  if (set.length === 0) return;
  const { kind, rank } = direction;
  const names = set.map(({ own: key }) => ({ key }));
  weights.owe({
    kind,
    rank,
    recurring: poolOf(directions) !== undefined,
    terms(tensor, kernels) {
      if (!kept(tensor.id)) return [];
      const words =
        age === 0
          ? kernels.roundingWords(tensor.id, names)
          : Uint32Array.from(set, ({ own }) => roundingWord(own, tensor.id, age));
      const terms = termsOf(tensor, header, set, words);
      return directions ? merged(terms) : terms;
    },
  });
  const codes = set.reduce((sum, { code }) => sum + Math.abs(code), 0);
  for (const tensor of weights.tensors) {
    const { id, name } = tensor;
    if (!kept(id)) continue;
    weights.reach[id]! += rise(tensor, direction, header, codes, set.length);
    if (weights.reach[id]! <= MAX_Q) continue;
    const peak = await weights.visit(name, (page) => page.kernels.peak(page.tensor(name).q));
    weights.reach[id] = peak;
    checkRange(peak, name);
  }
}
