/**
 * Shares → the change of the weights that they come to. Whoever computes it is believed by nobody but followed by all:
 * the journal names the change by hash, so replicas agree whatever the arithmetic was done on.
 *
 * Shares are added in the order of slots, in doubles. What a coarse format cuts off a change is kept and added to the next
 * one (error feedback: Seide et al. 2014; Karimireddy et al. 2019, arXiv:1901.09847), so that it is late and not lost.
 *
 * @module
 */
import type { Flat } from '../apply/flat.ts';
import { decodeFloats, encodeFloats } from '../compress/formats.ts';
import { Fault } from '../faults.ts';
import { CHUNK_WEIGHTS, type Exchange } from '../nouns.ts';
import { powerOfTwo } from '../numeric/fixed.ts';
import { adamw, nextPowers, noPowers, type Powers } from '../optimizer/adamw.ts';
import { clipFactor, globalNorm, scale } from '../optimizer/clip.ts';
import { nesterov } from '../optimizer/nesterov.ts';
import { sgd } from '../optimizer/sgd.ts';
import { chunkLengths } from '../wire/chunks.ts';

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
}

export function mergeState({ kind, optim, format }: Exchange, n: number): MergeState {
  const arrays = kind === 'ddp' && optim.kind === 'adamw' ? 2 : 1;
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

/** A weighted mean of shares, and whose they were. */
interface Mean {
  readonly mean: Float64Array;
  /** Slots whose chunks are not those of a finite vector: they count for nothing. */
  readonly refused: readonly number[];
}

function meanOf(exchange: Exchange, shares: readonly Given[], n: number): Mean {
  const mean = new Float64Array(n);
  const refused: number[] = [];
  let total = 0;
  for (const { slot, count, chunks } of [...shares].sort((a, b) => a.slot - b.slot)) {
    // Of outer gradients the mean is plain, as in the paper; of gradients it is over steps, each of as many samples.
    const weight = exchange.kind === 'ddp' ? count : 1;
    try {
      const values = valuesOf(exchange.format, chunks, n);
      for (let i = 0; i < n; i++) mean[i]! += weight * values[i]!;
      total += weight;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      refused.push(slot);
    }
  }
  for (let i = 0; i < n; i++) mean[i]! /= total;
  return { mean, refused };
}

/** Mean gradient → a step of the run's optimizer, decay included. @param q weights as they are. */
function descend(
  exchange: Exchange,
  flat: Flat,
  q: Int32Array,
  g: Float64Array,
  state: MergeState,
  rate: number,
): void {
  const { optim, weight_decay, max_grad_norm } = exchange;
  scale(g, clipFactor(globalNorm([g]), max_grad_norm));
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

/** What shares came to. */
export interface Reduced {
  /** The change, as chunks in the run's format; none where every share was refused. */
  readonly chunks: readonly Uint8Array[];
  readonly refused: readonly number[];
}

/**
 * @param q (n,) weights before it. @param rate of the step, for `ddp`.
 * @throws {Fault} DIVERGED where the change is not finite
 */
export function mergeShares(
  exchange: Exchange,
  flat: Flat,
  q: Int32Array,
  shares: readonly Given[],
  state: MergeState,
  rate: number,
): Reduced {
  const { mean: change, refused } = meanOf(exchange, shares, flat.length);
  if (refused.length === shares.length) return { chunks: [], refused };
  if (exchange.kind === 'ddp') descend(exchange, flat, q, change, state, rate);
  else nesterov(change, state.moments[0]!, exchange.outer_momentum, exchange.outer_learning_rate);
  const { format } = exchange;
  const { residue } = state;
  const whole = Float32Array.from(change, (x, i) => x + (residue[i] ?? 0));
  if (!whole.every(Number.isFinite))
    throw new Fault('DIVERGED', 'the change of the weights is not finite; lower learning_rate');
  const chunks = chunksOf(format, whole);
  if (residue.length > 0) {
    const sent = valuesOf(format, chunks, whole.length);
    for (let i = 0; i < residue.length; i++) residue[i] = whole[i]! - sent[i]!;
  }
  return { chunks, refused };
}
