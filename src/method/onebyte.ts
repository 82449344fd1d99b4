/**
 * Just One Byte (Zelikman et al. 2023, arXiv:2306.10015): every record of a round is one direction, measured by SPSA on
 * its own samples and coded in one byte. With one peer and one record a round it is MeZO.
 *
 * docs/papers/onebyte.md: equations, departures, runs.
 *
 * @module
 */
import { applyRound, recordKey } from '../apply/apply.ts';
import { foldRound, type Moments } from '../apply/fold.ts';
import type { Dataset } from '../data/dataset.ts';
import { sampleIndices } from '../data/order.ts';
import { conservative } from '../estimator/conservative.ts';
import type { Entropy } from '../estimator/discrete-gaussian.ts';
import { forwardGradient } from '../estimator/forward-gradient.ts';
import { privateCode } from '../estimator/privacy.ts';
import { type Measurement, type Probe, spsa } from '../estimator/spsa.ts';
import type { Weights } from '../model/weights.ts';
import type { DirectionKey, Estimator, Header, Manifest, Privacy, Round } from '../nouns.ts';
import { encodeSlope, SCALE_UNIT } from '../numeric/byte.ts';
import { type Kept, maskOf } from '../numeric/mask.ts';
import { directionKey } from '../numeric/names.ts';
import type { Tangent } from '../objective/tangent.ts';
import { DIVISOR } from '../optimizer/header.ts';
import { learningRate } from '../optimizer/schedule.ts';
import { recentOf, stepsOf } from '../optimizer/steps.ts';

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
  /** For estimator `forward_gradient`. */
  readonly tangent?: Tangent;
  /** Random bytes of this machine alone, for runs with `privacy`. */
  readonly entropy?: Entropy;
}

/** The tensors that a round perturbs and updates: one answer for both sides of the round. */
export function keptIn({ manifest, view, windows = [view], run }: Learner, round: number): Kept {
  return maskOf(manifest.tensor_mask, windows[round % windows.length]!, round, run);
}

/** The direction that a record of a round measures. */
export const directionOf = ({ manifest, run }: Learner, round: number, record: number): DirectionKey =>
  directionKey(manifest, recordKey(run, round, record));

/** What the codes of a round are measured for. */
type Opened = Pick<Header, 'round' | 'scale' | 'clip'>;

type Measure = (learner: Learner, opened: Opened, probes: readonly Probe[], kept: Kept) => Promise<Int8Array>;

type Slopes = (learner: Learner, probes: readonly Probe[], kept: Kept) => Promise<Float64Array>;

/** Slopes of probes, where a code is made of nothing else. */
const SLOPES: Readonly<Record<Exclude<Estimator, 'conservative'>, Slopes>> = {
  spsa: (learner, probes, kept) => spsa(learner, learner.manifest.direction, learner.manifest.eps, probes, kept),
  async forward_gradient({ tangent, ...learner }, probes, kept) {
    if (!tangent) throw new RangeError('"learner" expected a tangent for estimator forward_gradient, got none');
    return forwardGradient({ ...learner, tangent }, learner.manifest.direction, probes, kept);
  },
};

const coded =
  (slopes: Slopes): Measure =>
  async (learner, { scale, clip }, probes, kept) =>
    Int8Array.from(await slopes(learner, probes, kept), (slope) => encodeSlope(slope, scale, clip));

/** Example by example, with noise. */
const noised =
  (slopes: Slopes, privacy: Privacy): Measure =>
  async (learner, { scale, clip }, probes, kept) => {
    const { entropy } = learner;
    if (!entropy) throw new RangeError('"learner" expected entropy for a run with privacy, got none');
    const single = probes.flatMap(({ key, examples }) => examples.map((example) => ({ key, examples: [example] })));
    const all = await slopes(learner, single, kept);
    let next = 0;
    return Int8Array.from(probes, ({ examples }) => {
      const own = all.subarray(next, (next += examples.length));
      return privateCode(own, scale, clip, privacy, entropy);
    });
  };

/** How a record's code is measured, by the manifest's estimator. */
const ESTIMATORS: Readonly<Record<Estimator, Measure>> = {
  spsa: coded(SLOPES.spsa),
  conservative(learner, { round, scale, clip }, probes, kept) {
    const { manifest } = learner;
    const rate = learningRate(manifest, round);
    return conservative(learner, manifest.direction, manifest.eps, probes, kept, { rate, scale, clip });
  },
  forward_gradient: coded(SLOPES.forward_gradient),
};

function measureOf({ estimator = 'spsa', privacy }: Manifest): Measure {
  if (privacy === undefined || estimator === 'conservative') return ESTIMATORS[estimator];
  return noised(SLOPES[estimator], privacy);
}

/** Measures records `from` … `from + count - 1` of a round. @returns their codes, NO_LOSS where a loss was unusable. */
export async function measureRecords(
  learner: Learner,
  opened: Opened,
  from: number,
  count: number,
): Promise<Int8Array> {
  const { manifest, run, dataset } = learner;
  const { round } = opened;
  const measure = measureOf(manifest);
  const probes = Array.from({ length: count }, (_, i) => ({
    key: directionOf(learner, round, from + i),
    examples: sampleIndices(manifest, run, dataset.train.length, round, from + i).map((n) => dataset.train[n]!),
  }));
  return measure(learner, opened, probes, keptIn(learner, round));
}

/** What a replica has of the past besides its weights. */
export interface Memory {
  /** `recentOf` the round to come. */
  recent: readonly Round[];
  /** Of `adam`, by tensor id. */
  readonly moments: Map<number, Moments>;
}

/** @param recent `recentOf` the round that is to be applied first. */
export const memoryOf = (recent: readonly Round[] = []): Memory => ({ recent, moments: new Map() });

/**
 * Applies a committed round.
 * @param memory of the rounds before it, moved on. The default will do for optimizers that look at one round only.
 * @throws {Fault} RANGE naming the tensor. @throws {RangeError} for a memory of other rounds
 */
export async function applyCommitted(learner: Learner, round: Round, memory: Memory = memoryOf()): Promise<void> {
  const { weights, manifest, run } = learner;
  const { optimizer, direction, directions, scalar_aggregation, reduction } = manifest;
  const { header } = round;
  if (optimizer?.kind === 'adam') {
    const unit = (direction.scale * (header.scale * SCALE_UNIT)) / DIVISOR[reduction](header.usable);
    const rules = { ...optimizer, unit };
    await foldRound(weights, direction, run, round, rules, memory.moments, keptIn(learner, header.round), directions);
    return;
  }
  for (const step of stepsOf(manifest, round, memory.recent))
    await applyRound(
      weights,
      direction,
      run,
      step.round,
      keptIn(learner, step.round.header.round),
      step.age,
      directions,
      scalar_aggregation,
    );
  const known = [...memory.recent, round];
  memory.recent = recentOf(manifest, known, known.length);
}
