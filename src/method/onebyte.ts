/**
 * Just One Byte (Zelikman et al. 2023, arXiv:2306.10015): every record of a round is one direction, measured by SPSA on
 * its own samples and coded in one byte. With one peer and one record a round it is MeZO.
 *
 * docs/papers/onebyte.md: equations, departures, runs.
 *
 * @module
 */
import { applyRound, recordKey } from '../apply/apply.ts';
import type { Dataset } from '../data/dataset.ts';
import { sampleIndices } from '../data/order.ts';
import { type Measurement, spsa } from '../estimator/spsa.ts';
import type { Weights } from '../model/weights.ts';
import type { DirectionKey, Header, Manifest, Round } from '../nouns.ts';
import { encodeSlope } from '../numeric/byte.ts';
import { type Kept, maskOf } from '../numeric/mask.ts';
import { directionKey } from '../numeric/names.ts';

/** What a replica trains with. */
export interface Learner extends Measurement {
  readonly manifest: Manifest;
  /** First word of the run id. */
  readonly run: number;
  readonly weights: Weights;
  /** Ids of the tensors that the run may move: `viewOf`. */
  readonly view: readonly number[];
  /** The view cut into windows, of which each round moves one, in turn: `windowsOf`. Absent: a round moves all of it. */
  readonly windows?: readonly (readonly number[])[];
  readonly dataset: Dataset;
}

/** The tensors that a round perturbs and updates: one answer for both sides of the round. */
export function keptIn({ manifest, view, windows = [view], run }: Learner, round: number): Kept {
  return maskOf(manifest.tensor_mask, windows[round % windows.length]!, round, run);
}

/** The direction that a record of a round measures. */
export const directionOf = ({ manifest, run }: Learner, round: number, record: number): DirectionKey =>
  directionKey(manifest, recordKey(run, round, record));

/** Measures records `from` … `from + count - 1` of a round. @returns their codes, NO_LOSS where a loss was unusable. */
export async function measureRecords(
  learner: Learner,
  { round, scale, clip }: Pick<Header, 'round' | 'scale' | 'clip'>,
  from: number,
  count: number,
): Promise<Int8Array> {
  const { manifest, run, dataset } = learner;
  const probes = Array.from({ length: count }, (_, i) => ({
    key: directionOf(learner, round, from + i),
    examples: sampleIndices(manifest, run, dataset.train.length, round, from + i).map((n) => dataset.train[n]!),
  }));
  const slopes = await spsa(learner, manifest.direction, manifest.eps, probes, keptIn(learner, round));
  return Int8Array.from(slopes, (slope) => encodeSlope(slope, scale, clip));
}

export function applyCommitted(learner: Learner, round: Round): Promise<void> {
  const { weights, manifest, run } = learner;
  return applyRound(weights, manifest.direction, run, round, keptIn(learner, round.header.round), manifest.directions);
}
