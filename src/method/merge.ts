/**
 * Shares → the change of the weights that they come to. Whoever computes it is believed by nobody but followed by all:
 * the journal names the change by hash, so replicas agree whatever the arithmetic was done on.
 *
 * Shares are added in the order of slots, in doubles. What a coarse format cuts off a change is kept and added to the next
 * one (error feedback: Seide et al. 2014; Karimireddy et al. 2019, arXiv:1901.09847), so that it is late and not lost.
 *
 * @module
 */
import { geometricMedian } from '../aggregate/geometric-median.ts';
import { krum, multiKrum } from '../aggregate/krum.ts';
import { mda } from '../aggregate/mda.ts';
import { median } from '../aggregate/median.ts';
import { nna } from '../aggregate/nna.ts';
import { trimmedMean } from '../aggregate/trimmed-mean.ts';
import type { Flat } from '../apply/flat.ts';
import { decodeFloats, encodeFloats } from '../compress/formats.ts';
import { Fault } from '../faults.ts';
import { CHUNK_WEIGHTS, type Exchange } from '../nouns.ts';
import { powerOfTwo } from '../numeric/fixed.ts';
import { adamw, nextPowers, noPowers, type Powers } from '../optimizer/adamw.ts';
import { clipFactor, scale } from '../optimizer/clip.ts';
import { nesterov } from '../optimizer/nesterov.ts';
import { sgd } from '../optimizer/sgd.ts';
import { chunkLengths } from '../wire/chunks.ts';
import { isLocal, isTentative } from './exchange.ts';
import { mix } from './monna.ts';

/** A share with its chunks. */
export interface Given {
  readonly slot: number;
  /** Steps that it is of. */
  readonly count: number;
  readonly chunks: readonly Uint8Array[];
}

/** What is kept between two merges of the same weights. (n,) each, 0 at first. */
export interface MergeState {
  /** Velocity, or m, and v of AdamW. */
  readonly moments: readonly Float32Array[];
  /** What formats have cut off so far. */
  readonly residue: Float32Array;
  powers: Powers;
  /** Of `acco`: the shares of a tentative merge, which the next one has as well. */
  held?: Sum | undefined;
}

export function mergeState({ kind, optim, format }: Exchange, n: number): MergeState {
  const arrays = { diloco: 1, monna: 0 }[kind as string] ?? (optim.kind === 'adamw' ? 2 : 1);
  return {
    moments: Array.from({ length: arrays }, () => new Float32Array(n)),
    residue: new Float32Array(format === 'f32' ? 0 : n),
    powers: noPowers,
  };
}

/** A vector as chunks in a format. @throws {RangeError} where it is not finite */
export function chunksOf(format: Exchange['format'], x: Float32Array): Uint8Array[] {
  return chunkLengths(x.length).map((length, i) =>
    encodeFloats(format, x.subarray(i * CHUNK_WEIGHTS, i * CHUNK_WEIGHTS + length)),
  );
}

/** @returns (n,) @throws {Fault} SHARE_INVALID for chunks that are not those of n values */
export function valuesOf(format: Exchange['format'], chunks: readonly Uint8Array[], n: number): Float32Array {
  const x = new Float32Array(n);
  for (const [i, length] of chunkLengths(n).entries())
    x.set(decodeFloats(format, chunks[i] ?? new Uint8Array(0), length), i * CHUNK_WEIGHTS);
  return x;
}

/** Σ weight · share, and Σ weight. */
interface Sum {
  readonly sum: Float64Array;
  readonly weight: number;
}

/** @returns slots too whose chunks are not those of a finite vector: they count for nothing. */
function sumOf(exchange: Exchange, shares: readonly Given[], n: number): Sum & { readonly refused: readonly number[] } {
  const sum = new Float64Array(n);
  const refused: number[] = [];
  /** Of a robust aggregation, which must see all of them at once. */
  const all: Float32Array[] = [];
  let total = 0;
  for (const { slot, count, chunks } of [...shares].sort((a, b) => a.slot - b.slot)) {
    // Of outer gradients the mean is plain, as in the paper; of gradients it is over batches, so that who is faster counts
    // for as much as it did.
    const weight = isLocal(exchange) ? 1 : count;
    try {
      const values = valuesOf(exchange.format, chunks, n);
      total += weight;
      if (exchange.aggregation) all.push(values);
      else for (let i = 0; i < n; i++) sum[i]! += weight * values[i]!;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      refused.push(slot);
    }
  }
  if (!exchange.aggregation || all.length === 0) return { sum, weight: total, refused };
  // Whoever says that it is faster is not believed: every share counts for one.
  return { sum: robust(exchange.aggregation, all), weight: 1, refused };
}

/** Of fewer shares than 2 f + 1, as many may lie as leave a majority. */
const bearable = (f: number, shares: number): number => Math.min(f, Math.floor((shares - 1) / 2));

function robust(
  { by, byzantine }: NonNullable<Exchange['aggregation']>,
  shares: readonly Float32Array[],
): Float64Array {
  const f = bearable(byzantine, shares.length);
  switch (by) {
    case 'median':
      return median(shares);
    case 'trimmed_mean':
      return trimmedMean(shares, f);
    case 'geometric_median':
      return geometricMedian(shares, { start: median(shares) });
    case 'krum':
      return krum(shares, f);
    case 'multi_krum':
      return multiKrum(shares, f);
    case 'mda':
      return mda(shares, f);
    // Nobody's own share is the pivot here: the median stands for it, which a minority cannot move far.
    case 'nna':
      return nna(median(shares), shares, f);
  }
}

/**
 * What a peer of MoNNA goes on from: the mean of the shares nearest to its own, which is among them.
 * @param own (n,) @param others chunks of the shares that arrived; one that is no vector counts as not arrived. @returns (n,)
 */
export function mixShares(
  { aggregation, format }: Exchange,
  own: Float32Array,
  others: readonly (readonly Uint8Array[])[],
): Float64Array {
  const arrived = others.flatMap((chunks) => {
    try {
      return [valuesOf(format, chunks, own.length)];
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return [];
    }
  });
  return mix(own, arrived, bearable(aggregation?.byzantine ?? 0, 1 + arrived.length));
}

/** The mean of all shares together. */
function meanOf(sums: readonly Sum[]): Float64Array {
  const total = sums.reduce((weight, own) => weight + own.weight, 0);
  return sums[0]!.sum.map((_, i) => sums.reduce((x, { sum }) => x + sum[i]!, 0) / total);
}

/** For a step that may not be taken. */
export const copyOf = ({ moments, residue, powers, held }: MergeState): MergeState => ({
  ...{ moments: moments.map((array) => array.slice()), residue: residue.slice(), powers, held },
});

/** Mean gradient → a step of the run's optimizer, decay included. @param q weights as they are. */
function descend(
  exchange: Exchange,
  flat: Flat,
  q: Int32Array,
  g: Float64Array,
  state: MergeState,
  { rate, norm }: Settling,
): void {
  const { optim, weight_decay, max_grad_norm } = exchange;
  scale(g, clipFactor(norm, max_grad_norm));
  const [m, v] = state.moments;
  if (optim.kind === 'adamw') {
    state.powers = nextPowers(state.powers, optim);
    adamw(g, m!, v!, optim, state.powers, rate);
  } else sgd(g, m!, optim.momentum, rate);
  for (const { at, count, exponent, decayed } of flat.spans) {
    if (!decayed || weight_decay === 0) continue;
    const decay = rate * weight_decay * powerOfTwo(exponent);
    for (let i = at; i < at + count; i++) g[i]! -= decay * q[i]!;
  }
}

/** Shares added up: what there is to do before the norm of the whole is known. */
export interface Summed {
  /** (n,) of these shares, and of those that a tentative merge held. */
  readonly mean: Float64Array;
  readonly own: Sum;
  /** Slots whose shares are no vectors: they are not in it. */
  readonly refused: readonly number[];
}

/** @param n weights. @returns a mean of length 0 where every share was refused. */
export function sumShares(
  exchange: Exchange,
  n: number,
  shares: readonly Given[],
  { held }: MergeState,
  round: number,
): Summed {
  const { refused, ...own } = sumOf(exchange, shares, n);
  const mean = () => meanOf(held && !isTentative(exchange, round) ? [held, own] : [own]);
  return { mean: own.weight === 0 ? new Float64Array(0) : mean(), own, refused };
}

export interface Settling {
  readonly round: number;
  /** Of the step, where peers exchange gradients. */
  readonly rate: number;
  /** Of the mean over all weights of the merge, of which these may be a part. */
  readonly norm: number;
}

/**
 * @param q (n,) weights before the merge. @param summed used up.
 * @returns the change, as chunks in the run's format. @throws {Fault} DIVERGED where it is not finite
 */
export function settleShares(
  exchange: Exchange,
  flat: Flat,
  q: Int32Array,
  { mean: change, own }: Summed,
  state: MergeState,
  settling: Settling,
): Uint8Array[] {
  const { format } = exchange;
  if (isTentative(exchange, settling.round)) {
    state.held = own;
    descend(exchange, flat, q, change, copyOf(state), settling);
    return chunksOf(format, finite(change));
  }
  state.held = undefined;
  if (exchange.kind === 'diloco')
    nesterov(change, state.moments[0]!, exchange.outer_momentum, exchange.outer_learning_rate);
  else if (exchange.kind === 'monna') scale(change, -1);
  else descend(exchange, flat, q, change, state, settling);
  const { residue } = state;
  for (let i = 0; i < residue.length; i++) change[i]! += residue[i]!;
  const whole = finite(change);
  const chunks = chunksOf(format, whole);
  if (residue.length > 0) {
    const sent = valuesOf(format, chunks, whole.length);
    for (let i = 0; i < residue.length; i++) residue[i] = whole[i]! - sent[i]!;
  }
  return chunks;
}

/** @throws {Fault} DIVERGED */
function finite(change: Float64Array): Float32Array {
  const x = Float32Array.from(change);
  if (x.every(Number.isFinite)) return x;
  throw new Fault('DIVERGED', 'the change of the weights is not finite; lower learning_rate');
}
