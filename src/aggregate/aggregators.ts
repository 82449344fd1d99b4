/**
 * Every aggregator by name, as a peer calls it: with its own vector, and those of others that arrived.
 *
 * @module
 */
import { centredClipping } from './centred-clipping.ts';
import { geometricMedian } from './geometric-median.ts';
import { krum, multiKrum } from './krum.ts';
import { mda } from './mda.ts';
import { mean } from './mean.ts';
import { median } from './median.ts';
import { nna } from './nna.ts';
import { nnm } from './nnm.ts';
import { trimmedMean } from './trimmed-mean.ts';
import type { Vector, Vectors } from './vectors.ts';

export interface Setting {
  /** How many of the vectors may say anything. */
  readonly f: number;
  /** τ of centred clipping, in units of the vectors. None is right everywhere: about what honest vectors differ by. */
  readonly radius: number;
}

/**
 * @param own (d), finite. @param others (d) each, without the own one.
 * @returns (d) @throws {RangeError} as the function of that name
 */
export type Aggregator = (own: Vector, others: Vectors, setting: Setting) => Float64Array;

export type AggregatorName =
  | 'mean'
  | 'median'
  | 'trimmed_mean'
  | 'krum'
  | 'multi_krum'
  | 'geometric_median'
  | 'centred_clipping'
  | 'mda'
  | 'nna'
  | 'nnm_trimmed_mean';

/** L of centred clipping: what the authors of MoNNA give it. */
const ITERATIONS = 3;

export const aggregators: Readonly<Record<AggregatorName, Aggregator>> = {
  mean: (own, others) => mean([own, ...others]),
  median: (own, others) => median([own, ...others]),
  trimmed_mean: (own, others, { f }) => trimmedMean([own, ...others], f),
  krum: (own, others, { f }) => krum([own, ...others], f),
  multi_krum: (own, others, { f }) => multiKrum([own, ...others], f),
  geometric_median: (own, others) => geometricMedian([own, ...others], { start: own }),
  centred_clipping: (own, others, { radius }) =>
    centredClipping([own, ...others], { centre: own, radius, iterations: ITERATIONS }),
  mda: (own, others, { f }) => mda([own, ...others], f),
  nna: (own, others, { f }) => nna(own, others, f),
  nnm_trimmed_mean: (own, others, { f }) => trimmedMean(nnm([own, ...others], f), f),
};
