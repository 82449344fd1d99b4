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
import type { Forward } from '../objective/forward.ts';
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

const headOf = (task: Task) =>
  task.kind === 'lm' ? ({ kind: 'lm' } as const) : ({ kind: 'choice', choices: task.labels.length } as const);

/** Mean L+ - L- of each probe, all probes in shared calls: both signs of every sample side by side. */
async function sided(
  m: Measurement,
  { rank }: Direction,
  delta: number,
  probes: readonly Probe[],
): Promise<Float64Array> {
  const units = probes.flatMap(({ examples }, probe) => examples.map((example) => ({ probe, example })));
  const batches = batchExamples(
    units.flatMap(({ example }) => [example, example]),
    m.positions,
  );
  const unitOf = (batch: Batch, s: number) => batch.members[s]! >> 1; // -1 stays -1
  const keys = batches.map((batch) =>
    Array.from({ length: batch.sequences / 2 }, (_, i) => probes[units[unitOf(batch, 2 * i)]?.probe ?? 0]!.key),
  );
  const perturbation: Perturbation = { kind: 'sided', rank, delta, keys };
  const [outputs] = await m.forward.run(batches, headOf(m.task), perturbation, m.choices);
  const differences = new Float64Array(probes.length);
  for (const [i, batch] of batches.entries()) {
    const losses = sequenceLosses(m.task, batch, outputs![i]!);
    for (let s = 0; s < batch.sequences; s += 2) {
      const unit = units[unitOf(batch, s)];
      if (!unit) continue;
      differences[unit.probe]! += (losses[s]! - losses[s + 1]!) / probes[unit.probe]!.examples.length;
    }
  }
  return differences;
}

/** Mean L+ - L- of each probe, one call a probe: its perturbed weights are made in scratch, both signs in one visit. */
async function dense(
  m: Measurement,
  { kind, rank }: Direction,
  delta: number,
  probes: readonly Probe[],
): Promise<Float64Array> {
  const differences = new Float64Array(probes.length);
  for (const [probe, { key, examples }] of probes.entries()) {
    const batches = batchExamples(examples, m.positions);
    const perturbation: Perturbation = { kind: 'dense', noise: kind, rank, delta, key };
    const [plus, minus] = await m.forward.run(batches, headOf(m.task), perturbation, m.choices);
    for (const [i, batch] of batches.entries()) {
      const above = sequenceLosses(m.task, batch, plus![i]!);
      const below = sequenceLosses(m.task, batch, minus![i]!);
      batch.members.forEach((member, s) => {
        if (member >= 0) differences[probe]! += (above[s]! - below[s]!) / examples.length;
      });
    }
  }
  return differences;
}
