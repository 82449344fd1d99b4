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
import type { Batch, Direction, DirectionKey, Example, Task } from '../nouns.ts';
import type { Perturbation } from '../objective/feeds.ts';
import { type Forward, headOf } from '../objective/forward.ts';
import { sequenceLosses } from '../objective/loss.ts';

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
}

/**
 * Projected gradients of many probes.
 * @param eps half the distance between the two measurements along a unit-variance direction, in units of weights.
 * @returns (probes) loss per unit of direction; NaN where a loss was not a number.
 */
export async function spsa(
  measurement: Measurement,
  direction: Direction,
  eps: number,
  probes: readonly Probe[],
): Promise<Float64Array> {
  const pairs = direction.kind === 'lowrank' ? sided : dense;
  const delta = eps * direction.scale;
  const differences = await pairs(measurement, direction, delta, probes);
  return differences.map((difference) => difference / (2 * eps));
}

/** Mean L+ - L- of each probe, all probes in shared calls: both signs of every sample side by side. */
async function sided(
  m: Measurement,
  { rank }: Direction,
  delta: number,
  probes: readonly Probe[],
): Promise<Float64Array> {
  const samples = probes.flatMap(({ key, examples }) => examples.map((example) => ({ key, example })));
  const batches = batchExamples(
    samples.flatMap(({ example }) => [example, example]),
    m.positions,
  );
  const sampleOf = (batch: Batch, pair: number) => batch.members[2 * pair]! >> 1; // -1, padding, stays -1
  const keys = batches.map((batch) =>
    Array.from({ length: batch.sequences / 2 }, (_, pair) => samples[Math.max(0, sampleOf(batch, pair))]!.key),
  );
  const perturbation: Perturbation = { kind: 'sided', rank, delta, keys };
  const [outputs] = await m.forward.run(batches, headOf(m.task), perturbation, m.choices);
  const differences = new Float64Array(samples.length);
  for (const [i, batch] of batches.entries()) {
    const losses = sequenceLosses(m.task, batch, outputs![i]!);
    for (let pair = 0; pair < batch.sequences / 2; pair++) {
      const sample = sampleOf(batch, pair);
      if (sample >= 0) differences[sample] = losses[2 * pair]! - losses[2 * pair + 1]!;
    }
  }
  return meansOf(probes, differences);
}

/** Mean L+ - L- of each probe, one call a probe: its perturbed weights are made in scratch, both signs in one visit. */
async function dense(
  m: Measurement,
  { kind, rank }: Direction,
  delta: number,
  probes: readonly Probe[],
): Promise<Float64Array> {
  const differences: number[] = [];
  for (const { key, examples } of probes) {
    const batches = batchExamples(examples, m.positions);
    const perturbation: Perturbation = { kind: 'dense', noise: kind, rank, delta, key };
    const [plus, minus] = await m.forward.run(batches, headOf(m.task), perturbation, m.choices);
    const own = new Float64Array(examples.length);
    for (const [i, batch] of batches.entries()) {
      const above = sequenceLosses(m.task, batch, plus![i]!);
      const below = sequenceLosses(m.task, batch, minus![i]!);
      batch.members.forEach((member, s) => {
        if (member >= 0) own[member] = above[s]! - below[s]!;
      });
    }
    differences.push(...own);
  }
  return meansOf(probes, differences);
}

/**
 * Mean over the samples of each probe, in their order: sums of doubles depend on it, and a probe must measure the same
 * whatever it is measured with.
 * @param differences of the samples of all probes, one after the other.
 */
function meansOf(probes: readonly Probe[], differences: ArrayLike<number>): Float64Array {
  let next = 0;
  return Float64Array.from(probes, ({ examples }) => {
    let sum = 0;
    for (const end = next + examples.length; next < end; next++) sum += differences[next]!;
    return sum / examples.length;
  });
}
