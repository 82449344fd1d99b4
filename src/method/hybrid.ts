/**
 * The hybrid of zeroth and first order of ZO-Bench — Zhang et al. 2024, arXiv:2402.11592, section 5: the last K blocks,
 * and what follows them, by backpropagation; everything before by SPSA. Both are measured on the same samples and at the
 * same weights. Activations are kept of K blocks only.
 *
 * @module
 */
import { recordKey } from '../apply/apply.ts';
import { applySlopes, type Slope } from '../apply/slopes.ts';
import { spsa } from '../estimator/spsa.ts';
import type { Model } from '../model/stage.ts';
import { viewOf } from '../model/view.ts';
import type { Example } from '../nouns.ts';
import type { Kept } from '../numeric/mask.ts';
import { learningRate } from '../optimizer/schedule.ts';
import { applyGradient, batchesOfStep, gradientOf, type StepReport, type Trainee } from './backprop.ts';

/** Which tensors each of the two orders moves. @throws {Fault} CONFIG_INVALID when the model has fewer blocks */
export function split(model: Model, view: readonly number[], blocks: number): { first: Kept; zeroth: Kept } {
  const last = new Set(viewOf(model, { last_blocks: blocks }));
  const moved = new Set(view);
  return { first: (id) => moved.has(id) && last.has(id), zeroth: (id) => moved.has(id) && !last.has(id) };
}

/** The samples of a step, cut into records as a round of bytes would be. */
function probesOf({ learner: { manifest } }: Trainee, samples: readonly Example[], t: number) {
  const { samples_per_record: size } = manifest;
  return Array.from({ length: samples.length / size }, (_, i) => ({
    key: recordKey(manifest.seed, t, i),
    examples: samples.slice(i * size, (i + 1) * size),
  }));
}

/** Step `t`, counted from 0. @throws {Fault} DIVERGED, RANGE: the weights are no use then */
export async function hybridStep(of: Trainee, zeroth: Kept, t: number): Promise<StepReport> {
  const { learner, settings } = of;
  const { manifest, weights } = learner;
  const batches = batchesOfStep(of, t);
  const probes = probesOf(of, batches.flat(), t);
  const measured = await spsa(learner, manifest.direction, manifest.eps, probes, zeroth);
  const slopes = probes.map(({ key }, i): Slope => ({ key, slope: measured[i]! }));
  const gradient = await gradientOf(of, batches);
  const rate = learningRate(manifest, t);
  const grad_norm = await applyGradient(of, gradient, rate);
  const zerothRate = learningRate({ ...manifest, learning_rate: settings.zeroth!.learning_rate }, t);
  await applySlopes(
    weights,
    manifest.direction,
    slopes,
    (zerothRate * manifest.direction.scale) / slopes.length,
    zeroth,
  );
  return { loss: gradient.loss, learning_rate: rate, grad_norm };
}
