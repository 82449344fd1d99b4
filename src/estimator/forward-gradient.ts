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
  let samples = 0;
  const parts = probes.flatMap(({ key, examples }) => {
    const first = samples;
    samples += examples.length;
    return batchExamples(examples, positions).map((batch) => ({ key, first, batch }));
  });
  const batches = parts.map(({ batch }) => batch);
  const found = await tangent.slopes(batches, task, choices, { direction, keys: parts.map(({ key }) => key), kept });
  const slopes = new Float64Array(samples);
  for (const [i, { batch, first }] of parts.entries())
    for (const [s, member] of batch.members.entries()) slopes[first + member] = found[i]![s]!;
  return meansOf(probes, slopes);
}
