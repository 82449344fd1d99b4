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
import type { Direction, DirectionKey, Example, Precision, Task } from '../nouns.ts';
import { everything, type Kept } from '../numeric/mask.ts';
import { type Forward, headOf } from '../objective/forward.ts';
import { sequenceLosses } from '../objective/loss.ts';
import type { Perturbation } from '../objective/perturbation.ts';

/** A direction and the samples it is measured on. */
export interface Probe {
  readonly key: DirectionKey;
  readonly examples: readonly Example[];
}

/** What a loss is measured with: the forward pass of a model on a task. */
export interface Measurement {
  readonly forward: Forward;
  readonly task: Task;
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

/** Losses of the samples of all probes, one after the other, on both sides of the weights. */
export interface Sides {
  /** At θ + delta z. */
  readonly above: Float64Array;
  /** At θ - delta z. */
  readonly below: Float64Array;
}

/** @param delta length of one unit of noise, in units of weights. */
export function sidesOf(
  measurement: Measurement,
  direction: Direction,
  delta: number,
  probes: readonly Probe[],
  kept: Kept,
): Promise<Sides> {
  if (direction.kind !== 'lowrank' && measurement.precision === 'int8')
    throw new RangeError(`"precision" expected f32 with direction ${direction.kind}, got int8`);
  return (direction.kind === 'lowrank' ? sided : dense)(measurement, direction, delta, probes, kept);
}

/** Both signs of every sample side by side. */
async function sided(
  m: Measurement,
  { rank }: Direction,
  delta: number,
  probes: readonly Probe[],
  kept: Kept,
): Promise<Sides> {
  const samples = probes.flatMap(({ key, examples }) => examples.map((example) => ({ key, example })));
  const batches = batchExamples(
    samples.flatMap(({ example }) => [example, example]),
    m.positions,
  );
  const keys = batches.map(({ members }) =>
    Array.from({ length: members.length / 2 }, (_, pair) => samples[members[2 * pair]! >> 1]!.key),
  );
  const perturbation: Perturbation = { kind: 'sided', rank, delta, keys, kept, precision: m.precision ?? 'f32' };
  const [outputs] = await m.forward.run(batches, headOf(m.task), perturbation, m.choices);
  const sides = { above: new Float64Array(samples.length), below: new Float64Array(samples.length) };
  for (const [i, batch] of batches.entries()) {
    const losses = sequenceLosses(m.task, batch, outputs![i]!);
    for (let s = 0; s < batch.sequences; s++) {
      const side = s % 2 === 0 ? sides.above : sides.below;
      side[batch.members[s]! >> 1] = losses[s]!;
    }
  }
  return sides;
}

/** The perturbed weights of each probe are made in scratch, both signs in one visit of a stage. */
async function dense(
  m: Measurement,
  { kind, rank }: Direction,
  delta: number,
  probes: readonly Probe[],
  kept: Kept,
): Promise<Sides> {
  let samples = 0;
  const parts = probes.flatMap(({ key, examples }) => {
    const first = samples;
    samples += examples.length;
    return batchExamples(examples, m.positions).map((batch) => ({ key, first, batch }));
  });
  const batches = parts.map(({ batch }) => batch);
  const keys = parts.map(({ key }) => key);
  const perturbation: Perturbation = { kind: 'dense', noise: kind, rank, delta, keys, kept };
  const [plus, minus] = await m.forward.run(batches, headOf(m.task), perturbation, m.choices);
  const sides = { above: new Float64Array(samples), below: new Float64Array(samples) };
  for (const [i, { batch, first }] of parts.entries()) {
    const above = sequenceLosses(m.task, batch, plus![i]!);
    const below = sequenceLosses(m.task, batch, minus![i]!);
    for (const [s, member] of batch.members.entries()) {
      sides.above[first + member] = above[s]!;
      sides.below[first + member] = below[s]!;
    }
  }
  return sides;
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
