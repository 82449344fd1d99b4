/**
 * SPSA, two-sided (Spall 1992; MeZO, Malladi et al. 2023, arXiv:2305.17333, Definition 1):
 *
 *     g = [ L(θ + ε z; B) - L(θ - ε z; B) ] / 2ε
 *
 * Departures from the published code: z comes from a counter-based key, so nothing is stored and no state is shared;
 * θ is never touched, so there is nothing to restore; with low-rank z many directions are measured in one call.
 *
 * @module
 */
import { batchExamples } from '../data/batch.ts';
import type { Direction, DirectionKey, Example, Precision } from '../nouns.ts';
import { everything, type Kept } from '../numeric/mask.ts';
import { type Forward, headOf } from '../objective/forward.ts';
import type { Perturbation } from '../objective/perturbation.ts';
import { costs, type Judge, type Pass, type Read, type Sample } from './judge.ts';

/** A direction and the samples it is measured on. */
export interface Probe {
  readonly key: DirectionKey;
  readonly examples: readonly Example[];
}

/** What a loss is measured with: the forward pass of a model on a task, and what judges it. */
export interface Measurement extends Judge {
  readonly forward: Forward;
  /** Token ids of the label words, empty for language modelling. */
  readonly choices: Int32Array;
  /** Longest sequence of the model. */
  readonly positions: number;
  /** f32 if absent; int8 is for low-rank directions. */
  readonly precision?: Precision;
}

/**
 * Projected gradients of many probes.
 * @param kept tensors that the directions move.
 * @param eps half the distance between the two measurements along a unit-variance direction, in units of weights.
 * @returns (probes) loss per unit of direction; NaN where a loss was not a number.
 */
export async function spsa(
  measurement: Measurement,
  direction: Direction,
  eps: number,
  probes: readonly Probe[],
  kept: Kept = everything,
): Promise<Float64Array> {
  const { above, below } = await sidesOf(measurement, direction, eps * direction.scale, probes, kept);
  const differences = meansOf(
    probes,
    above.map((loss, i) => loss - below[i]!),
  );
  return differences.map((difference) => difference / (2 * eps));
}

/** What the objective makes small, of the samples of all probes one after the other, on both sides of the weights. */
export interface Sides {
  /** At θ + delta z. */
  readonly above: Float64Array;
  /** At θ - delta z. */
  readonly below: Float64Array;
}

/** @param delta length of one unit of noise, in units of weights. */
export async function sidesOf(
  measurement: Measurement,
  direction: Direction,
  delta: number,
  probes: readonly Probe[],
  kept: Kept,
): Promise<Sides> {
  if (direction.kind !== 'lowrank' && measurement.precision === 'int8')
    throw new RangeError(`"precision" expected f32 with direction ${direction.kind}, got int8`);
  const samples = probes.flatMap(({ key, examples }) => examples.map((example, place) => ({ key, example, place })));
  const both = await costs(measurement, samples, bothSides(measurement, direction, delta, kept));
  return {
    above: Float64Array.from(samples, (_, i) => both[2 * i]!),
    below: Float64Array.from(samples, (_, i) => both[2 * i + 1]!),
  };
}

/** Samples at θ + delta z and θ - delta z. @param delta length of a unit of noise, in units of weights. */
export function bothSides(m: Measurement, direction: Direction, delta: number, kept: Kept): Pass {
  const { kind: noise, rank } = direction;
  const sides =
    noise === 'lowrank'
      ? ({ kind: 'sided', rank, delta, kept, precision: m.precision ?? 'f32' } as const)
      : ({ kind: 'dense', noise, rank, delta, kept } as const);
  return {
    copies: 2,
    sides,
    run: (samples, read) => (sides.kind === 'sided' ? sided(m, sides, samples, read) : dense(m, sides, samples, read)),
  };
}

type SidesOf<K extends Perturbation['kind']> = Omit<Extract<Perturbation, { kind: K }>, 'keys'>;

/** Both signs of every sample side by side. */
async function sided(
  m: Measurement,
  sides: SidesOf<'sided'>,
  samples: readonly Sample[],
  read: Read,
): Promise<Float64Array> {
  const batches = batchExamples(
    samples.flatMap(({ example }) => [example, example]),
    m.positions,
  );
  const keys = batches.map(({ members }) =>
    Array.from({ length: members.length / 2 }, (_, pair) => samples[members[2 * pair]! >> 1]!.key!),
  );
  const [outputs] = await m.forward.run(batches, headOf(m.task), { ...sides, keys }, m.choices);
  const numbers = new Float64Array(2 * samples.length);
  for (const [i, batch] of batches.entries()) {
    const own = read(batch, outputs![i]!);
    // The first of a pair is the plus side, wherever its example stands in the batch.
    for (let s = 0; s < batch.sequences; s++) numbers[2 * (batch.members[s]! >> 1) + (s & 1)] = own[s]!;
  }
  return numbers;
}

/** Perturbed weights are made in scratch, both signs in one visit of a stage. */
async function dense(
  m: Measurement,
  sides: SidesOf<'dense'>,
  samples: readonly Sample[],
  read: Read,
): Promise<Float64Array> {
  const parts = runsOf(samples).flatMap(({ key, first, examples }) =>
    batchExamples(examples, m.positions).map((batch) => ({ key, first, batch })),
  );
  const batches = parts.map(({ batch }) => batch);
  const keys = parts.map(({ key }) => key);
  const lanes = await m.forward.run(batches, headOf(m.task), { ...sides, keys }, m.choices);
  const numbers = new Float64Array(2 * samples.length);
  for (const [i, { batch, first }] of parts.entries())
    for (const [lane, outputs] of lanes.entries()) {
      const own = read(batch, outputs[i]!);
      for (const [s, member] of batch.members.entries()) numbers[2 * (first + member) + lane] = own[s]!;
    }
  return numbers;
}

/** Neighbours that share a direction. */
function runsOf(samples: readonly Sample[]): { key: DirectionKey; first: number; examples: Example[] }[] {
  const runs: { key: DirectionKey; first: number; examples: Example[] }[] = [];
  for (const [first, { key, example }] of samples.entries()) {
    const last = runs.at(-1);
    if (last?.key === key) last!.examples.push(example);
    else runs.push({ key: key!, first, examples: [example] });
  }
  return runs;
}

/**
 * Mean over the samples of each probe, in their order: sums of doubles depend on it, and a probe must measure the same
 * whatever it is measured with.
 * @param values of the samples of all probes, one after the other.
 */
export function meansOf(probes: readonly Probe[], values: ArrayLike<number>): Float64Array {
  let next = 0;
  return Float64Array.from(probes, ({ examples }) => {
    let sum = 0;
    for (const end = next + examples.length; next < end; next++) sum += values[next]!;
    return sum / examples.length;
  });
}
