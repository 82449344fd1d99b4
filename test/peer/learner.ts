/** A learner on a small model, with data in memory: what a replica is made of, without files. */

import type { Dataset } from '../../src/data/dataset.ts';
import type { Learner } from '../../src/method/onebyte.ts';
import type { TensorSpec } from '../../src/model/stage.ts';
import { viewOf, windowsOf } from '../../src/model/view.ts';
import type { Direction, Manifest, Round, Task } from '../../src/nouns.ts';
import { NO_LOSS } from '../../src/nouns.ts';
import { elementMask } from '../../src/numeric/element-mask.ts';
import type { Kernels } from '../../src/numeric/kernels.ts';
import { initialScale } from '../../src/numeric/scale.ts';
import { createForward } from '../../src/objective/forward.ts';
import { headerOf } from '../../src/optimizer/header.ts';
import type { Engine } from '../../src/ports.ts';
import { CHOICE, CHOICES, fixture, promptOf, windowOf } from '../objective/models.ts';
import { MANIFEST } from './fake.ts';

const V = 64;

export interface LearnerOptions {
  readonly engine: Engine;
  readonly kernels: Kernels;
  readonly name?: string;
  readonly direction?: Direction;
  readonly task?: Task;
  readonly samples?: number;
  /** What the run moves, and along which directions. */
  readonly moves?: Pick<Manifest, 'directions' | 'element_mask' | 'blocks_per_round'>;
}

/** First word of the run id. */
const RUN = 0x1234_5678;

export async function smallLearner({
  engine,
  kernels,
  name = 'opt-tied',
  direction = { kind: 'lowrank', rank: 1, scale: 1 },
  task = CHOICE,
  samples = 1,
  moves = {},
}: LearnerOptions): Promise<Learner> {
  const { element_mask: mask, blocks_per_round: blocks } = moves;
  const movedIn = mask && ((tensor: TensorSpec, q: Int32Array) => elementMask(mask, tensor, q, RUN));
  const { model, weights } = await fixture(name, kernels, undefined, movedIn);
  const view = viewOf(model, 'full');
  const example = (i: number) => (task.kind === 'lm' ? windowOf(i, V, task.window) : promptOf(i, V, 3 + (i % 9)));
  const dataset: Dataset = {
    train: Array.from({ length: 40 }, (_, i) => example(i)),
    eval: Array.from({ length: 10 }, (_, i) => example(1000 + i)),
    choices: task.kind === 'lm' ? new Int32Array(0) : CHOICES,
    truncated: 0,
  };
  const manifest: Manifest = {
    ...MANIFEST,
    task,
    direction,
    ...moves,
    eps: 1e-3,
    learning_rate: 1e-3,
    lr_scheduler_type: 'constant',
    warmup_steps: 0,
    max_steps: 8,
    reduction: 'mean',
    records_per_round: 8,
    samples_per_record: samples,
    initial_scale: initialScale([3]),
    clip: 127,
  };
  return {
    manifest,
    run: RUN,
    weights,
    view,
    ...(blocks === undefined ? {} : { windows: windowsOf(model, view, blocks) }),
    dataset,
    forward: createForward(model, weights, engine),
    task,
    choices: dataset.choices,
    positions: model.positions,
  };
}

/** The round that commits these codes of record `from` and on. */
export function committed(manifest: Manifest, round: number, codes: Int8Array, from = 0): Round {
  const usable = codes.filter((code) => code !== NO_LOSS).length;
  const header = headerOf(manifest, { scale: manifest.initial_scale, window: [] }, round, usable);
  return { header, segments: [{ slot: 0, from, codes }] };
}
