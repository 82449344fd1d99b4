/**
 * The time of a step along a gradient on this machine, before the weights are there: the step itself, on an excerpt of
 * the model.
 *
 * @module
 */
import {
  applyGradient,
  batchesOfStep,
  gradientOf,
  type Settings,
  type Trainee,
  trainee,
} from '../../method/backprop.ts';
import type { Model } from '../../model/stage.ts';
import { elementsOf } from '../../model/weights.ts';
import type { Example } from '../../nouns.ts';
import type { Kept } from '../../numeric/mask.ts';
import { createBackward } from '../../objective/backward.ts';
import { createForward, type Plan, scratchLength } from '../../objective/forward.ts';
import type { Engine } from '../../ports.ts';
import { type StepTime, stillBlocks } from './estimate.ts';
import { extrapolated, leastSeconds, movedOf, openExcerpt, type Subject } from './excerpt.ts';

export interface GradientSpec extends Subject {
  readonly settings: Settings;
  readonly plans: readonly Plan[];
  /** Tensors that move along their gradient. */
  readonly kept: Kept;
}

/** Of the four passes of a block (`passesAlone`), those that one before all that moves is spared. */
const SPARED = 3 / 4;
/** So small that random weights stay where they are. */
const RATE = 1e-12;

/** Tensors of an excerpt that move: of the embedding those that do in the whole model, of the rest all that may. */
function keptOf(small: Model, { model, kept }: GradientSpec): Kept {
  const ids = new Map(model.tensors.map(({ name, id }) => [name, id]));
  const front = new Set(small.embed.bindings.map(({ tensor }) => tensor));
  const moved = new Set(
    movedOf(small)
      .filter(({ name }) => !front.has(name) || kept(ids.get(name)!))
      .map(({ id }) => id),
  );
  return (id) => moved.has(id);
}

/** @param now milliseconds. */
export async function gradientTime(spec: GradientSpec, engine: Engine, now: () => number): Promise<StepTime> {
  const { manifest, model, settings, plans } = spec;
  const { models, weights, train, choices } = await openExcerpt(spec, (small) => scratchLength(small, plans));
  const [small] = models;
  const kept = keptOf(small, spec);
  const trainees = models.map((built): Trainee => {
    const forward = createForward(built, weights, engine);
    const dataset = { train, eval: [], choices, truncated: 0 };
    const learner = {
      ...{ manifest, run: 0, weights, view: [], dataset, forward, choices },
      ...{ task: manifest.task, positions: model.positions },
    };
    return trainee(learner, createBackward(built, weights, engine), settings, kept);
  });
  const [batch] = batchesOfStep(trainees[0]!, 0) as [Example[]];
  const gradients = trainees.map((of) => () => gradientOf(of, [batch]));
  let gradient = await gradients[0]!();
  const [one, deep, wide, apply] = (await leastSeconds(
    [
      async () => {
        gradient = await gradients[0]!();
      },
      ...gradients.slice(1),
      () => applyGradient(trainees[0]!, gradient, RATE),
    ],
    now,
  )) as [number, number, number, number];
  for (const { learner, backward } of trainees) {
    await learner.forward.release();
    await backward.release();
  }
  await weights.close();
  const moved = (of: Model, isKept: Kept): number => elementsOf(of.tensors.filter(({ id }) => isKept(id)));
  const still = stillBlocks(model, [model.tensors.map(({ id }) => id).filter(spec.kept)]);
  return {
    measure: settings.gradient_accumulation_steps * extrapolated([one, deep, wide], spec, SPARED * still),
    apply: apply * (moved(model, spec.kept) / moved(small, kept)),
  };
}
