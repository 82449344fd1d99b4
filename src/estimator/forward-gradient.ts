/**
 * Forward gradients (Baydin, Pearlmutter, Syme, Wood and Torr 2022, arXiv:2202.08587, section 3):
 *
 *     g = ∇L(θ; B) · z
 *
 * by one forward-mode pass, exactly: what SPSA (`spsa.ts`) approximates by two losses at a distance. The record that
 * comes of it is the same, a slope along a direction that has a name.
 *
 * Departures from the paper: z is that of the manifest and not Gaussian; a record carries g, and whoever applies it
 * makes z again, where the paper multiplies at once.
 *
 * @module
 */
import { batchExamples } from '../data/batch.ts';
import type { Direction, Task } from '../nouns.ts';
import { everything, type Kept } from '../numeric/mask.ts';
import type { Tangent } from '../objective/tangent.ts';
import { meansOf, type Probe } from './spsa.ts';

/** What slopes are computed with: the tangents of a model on a task. */
export interface TangentMeasurement {
  readonly tangent: Tangent;
  readonly task: Task;
  /** Token ids of the label words, empty for language modelling. */
  readonly choices: Int32Array;
  /** Longest sequence of the model. */
  readonly positions: number;
}

/**
 * Projected gradients of many probes.
 * @param kept tensors that the directions move.
 * @returns (probes) loss per unit of direction; NaN where a loss was not a number.
 */
export async function forwardGradient(
  { tangent, task, choices, positions }: TangentMeasurement,
  direction: Direction,
  probes: readonly Probe[],
  kept: Kept = everything,
): Promise<Float64Array> {
  const samples = probes.flatMap(({ key, examples }) => examples.map((example) => ({ key, example })));
  // Low-rank directions stand side by side in a batch; of the others a batch has one.
  const groups =
    direction.kind === 'lowrank' ? [samples] : probes.map(({ key }) => samples.filter((one) => one.key === key));
  const parts = groups.flatMap((group) =>
    batchExamples(
      group.map(({ example }) => example),
      positions,
    ).map((batch) => ({ batch, own: Array.from(batch.members, (member) => group[member]!) })),
  );
  const batches = parts.map(({ batch }) => batch);
  const keys = parts.map(({ own }) => own.map(({ key }) => key));
  const found = await tangent.slopes(batches, task, choices, { direction, keys, kept });
  const slopes = new Map(parts.flatMap(({ own }, i) => own.map((sample, s) => [sample, found[i]![s]!] as const)));
  return meansOf(
    probes,
    samples.map((sample) => slopes.get(sample)!),
  );
}
