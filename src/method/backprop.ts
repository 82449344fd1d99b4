/**
 * Fine-tuning with the gradient, on one machine: what the bytes of a run are measured against, and how a base is made.
 * A gradient has as many floats as the model has weights, and no byte carries it.
 *
 * docs/papers/backprop.md: equations, departures, hyper-parameters.
 *
 * @module
 */
import { addChange, isDecayed } from '../apply/change.ts';
import { batchExamples } from '../data/batch.ts';
import { sampleIndices } from '../data/order.ts';
import { Fault } from '../faults.ts';
import type { Tensor } from '../model/weights.ts';
import type { Descent, Example } from '../nouns.ts';
import { checkRange } from '../numeric/fixed.ts';
import type { AdamStep, Kernels } from '../numeric/kernels.ts';
import type { Kept } from '../numeric/mask.ts';
import type { Backward } from '../objective/backward.ts';
import { addTo } from '../objective/gradients.ts';
import { adamw, correction, nextPowers, noPowers, type Powers } from '../optimizer/adamw.ts';
import { clipFactor, globalNorm, scale } from '../optimizer/clip.ts';
import { learningRate } from '../optimizer/schedule.ts';
import { sgd } from '../optimizer/sgd.ts';
import type { Learner } from './onebyte.ts';

/** What decides the bits of a run on one machine, beside the base and the data that its manifest names. */
export interface Settings extends Descent {
  /** Zeroth order before the last blocks: `hybrid.ts`. */
  readonly zeroth?: { readonly backprop_blocks: number; readonly learning_rate: number };
}

/** What an optimizer keeps of a tensor, by id: m, and v of AdamW. (n) f32 each. */
export type Moments = ReadonlyMap<number, readonly Float32Array[]>;

export interface Trainee {
  readonly learner: Learner;
  readonly backward: Backward;
  readonly settings: Settings;
  /** Tensors that are moved along their gradient. */
  readonly kept: Kept;
  readonly moments: Moments;
  powers: Powers;
  /** Of a gradient that was used up: the next one is made in its arrays. */
  spent?: StepGradient['tensors'] | undefined;
}

/** One step, as it was before it was taken. */
export interface StepReport {
  /** Mean over the samples of the step, nats. */
  readonly loss: number;
  readonly learning_rate: number;
  /** Before clipping. */
  readonly grad_norm: number;
}

/** Moments before the first step. */
export function noMoments({ weights }: Pick<Learner, 'weights'>, { optim }: Settings, kept: Kept): Moments {
  const arrays = optim.kind === 'adamw' ? 2 : 1;
  return new Map(
    weights.tensors
      .filter(({ id }) => kept(id))
      .map(({ id, shape }) => {
        const n = shape.reduce((a, b) => a * b, 1);
        return [id, Array.from({ length: arrays }, () => new Float32Array(n))];
      }),
  );
}

export const trainee = (learner: Learner, backward: Backward, settings: Settings, kept: Kept): Trainee => ({
  ...{ learner, backward, settings, kept },
  moments: noMoments(learner, settings, kept),
  powers: noPowers,
});

/** The batches of step `t`: the data in order, epoch after epoch. Its order is a function of the seed alone. */
export function batchesOfStep(
  {
    learner: { dataset, manifest },
    settings,
  }: { readonly learner: Pick<Learner, 'dataset' | 'manifest'>; readonly settings: Settings },
  t: number,
): Example[][] {
  const { per_device_train_batch_size: size, gradient_accumulation_steps: count } = settings;
  const places = { records_per_round: count, samples_per_record: size };
  return Array.from({ length: count }, (_, i) =>
    sampleIndices(places, manifest.seed, dataset.train.length, t, i).map((n) => dataset.train[n]!),
  );
}

export interface StepGradient {
  /** Mean over all samples. */
  readonly loss: number;
  /** By name of the tensor: gradient of that mean. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
}

/** @throws {Fault} DIVERGED where the loss is no number */
export async function gradientOf(of: Trainee, batches: readonly (readonly Example[])[]): Promise<StepGradient> {
  const { learner, backward, kept } = of;
  const { task, choices, positions } = learner;
  let { spent } = of;
  of.spent = undefined;
  const total = batches.reduce((n, examples) => n + examples.length, 0);
  let loss = 0;
  let tensors: ReadonlyMap<string, Float32Array> | undefined;
  for (const examples of batches) {
    const parts = batchExamples(examples, positions, true);
    const shares = parts.map(({ sequences }) => new Float64Array(sequences).fill(1 / total));
    const own = await backward.gradient(parts, { task, choices, shares }, kept, spent);
    for (const losses of own.losses) for (const each of losses) loss += each / total;
    spent = tensors && own.tensors;
    if (tensors) for (const [name, sum] of tensors) addTo(sum, own.tensors.get(name)!);
    tensors ??= own.tensors;
  }
  if (!Number.isFinite(loss)) throw diverged('loss', loss);
  return { loss, tensors: tensors ?? new Map() };
}

const diverged = (what: string, value: number): Fault =>
  new Fault('DIVERGED', `the ${what} became ${value}; lower learning_rate, or begin with more warmup_steps`);

/**
 * Moves the weights along a gradient, which is used up.
 * @returns its norm before clipping. @throws {Fault} DIVERGED, RANGE
 */
export async function applyGradient(of: Trainee, gradient: StepGradient, rate: number): Promise<number> {
  const { learner, settings } = of;
  const { optim, max_grad_norm } = settings;
  const norm = globalNorm(gradient.tensors.values());
  if (!Number.isFinite(norm)) throw diverged('norm of the gradient', norm);
  const factor = clipFactor(norm, max_grad_norm);
  if (optim.kind === 'adamw') of.powers = nextPowers(of.powers, optim);
  for (const [name, g] of gradient.tensors)
    await learner.weights.visit(name, (page) => {
      const tensor = page.tensor(name);
      const peak = move(of, page.kernels, tensor, g, factor, rate);
      if (Number.isNaN(peak)) throw diverged(`change of "${name}"`, peak);
      checkRange(peak, name);
      page.replace(name, 0, tensor.q);
    });
  of.spent = gradient.tensors;
  return norm;
}

/** Moves a tensor along its gradient `g`, times `factor`. @returns as `addChange` */
function move(
  { settings, moments, powers }: Trainee,
  kernels: Kernels,
  { id, q, exponent, shape }: Tensor,
  g: Float32Array,
  factor: number,
  rate: number,
): number {
  const { optim, weight_decay } = settings;
  const [m, v] = moments.get(id)!;
  const decay = isDecayed(shape) ? rate * weight_decay : 0;
  if (optim.kind === 'adamw' && kernels.adamw) {
    const by: AdamStep = { ...optim, ...correction(powers, rate), factor, decay };
    return kernels.adamw(q, exponent, g, m!, v!, by);
  }
  scale(g, factor);
  if (optim.kind === 'adamw') adamw(g, m!, v!, optim, powers, rate);
  else sgd(g, m!, optim.momentum, rate);
  return addChange(q, exponent, g, decay);
}

/** Step `t`, counted from 0. @throws {Fault} DIVERGED, RANGE: the weights are no use then */
export async function backpropStep(of: Trainee, t: number): Promise<StepReport> {
  const rate = learningRate(of.learner.manifest, t);
  const gradient = await gradientOf(of, batchesOfStep(of, t));
  return { loss: gradient.loss, learning_rate: rate, grad_norm: await applyGradient(of, gradient, rate) };
}
