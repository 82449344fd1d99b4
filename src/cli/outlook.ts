/**
 * What lies ahead of a machine that takes part in a run: memory of each process, the time of a step, bytes on the wire.
 * Runs of rounds and trainings along a gradient, each by the calls that it makes.
 *
 * @module
 */
import { batchExamples, sequencesFor } from '../data/batch.ts';
import type { Dataset } from '../data/dataset.ts';
import { batchesOfStep, type Settings } from '../method/backprop.ts';
import { split } from '../method/hybrid.ts';
import type { ModelConfig } from '../model/config.ts';
import type { Model } from '../model/stage.ts';
import { viewOf } from '../model/view.ts';
import { elementsOf } from '../model/weights.ts';
import type { Example, Manifest } from '../nouns.ts';
import type { Kept } from '../numeric/mask.ts';
import { longestText } from '../objective/decode.ts';
import { headOf, type Plan } from '../objective/forward.ts';
import type { PerturbationKind } from '../objective/perturbation.ts';
import {
  backwardDemand,
  type Demand,
  forwardDemand,
  type Texts,
  tangentDemand,
  writingDemand,
} from '../peer/demand.ts';
import { type Footprint, footprint, stateAlong, stateOf } from '../peer/memory.ts';
import { batchesOf, isWritten, type StepTime, stepTime } from '../peer/node/estimate.ts';
import { gradientTime } from '../peer/node/estimate-gradient.ts';
import { CHUNK } from '../peer/participant.ts';
import { plansOf } from '../peer/plans.ts';
import { roundBytes } from '../peer/traffic.ts';
import type { Engine } from '../ports.ts';

/** A run before its weights are read. */
export interface Ahead {
  readonly manifest: Manifest;
  readonly config: ModelConfig;
  readonly model: Model;
  readonly dataset: Dataset;
  /** Examples to evaluate on. */
  readonly held: readonly Example[];
}

export interface Outlook {
  /** Of a process that trains. @param base bytes of the process. @param offloaded whether blocks lie on disk. */
  peer(base: number, offloaded: boolean): Footprint;
  /** Of the host, where there is one. */
  readonly host?: (base: number, offloaded: boolean) => Footprint;
  /** @param now milliseconds. */
  time(engine: Engine, now: () => number): Promise<StepTime>;
  readonly wire: { readonly 'bytes/gradients': number; readonly 'bytes/wire': number };
  /** What the figures leave out, or take for granted. */
  readonly notes: readonly string[];
}

/** Steps that are looked at to find the shapes of batches. */
const LOOKED_AT = 32;

const NONE: PerturbationKind = { kind: 'none' };

const perturbationOf = ({ direction, forward_precision: precision }: Manifest): PerturbationKind =>
  direction.kind === 'lowrank' ? { kind: 'sided', rank: direction.rank, precision } : { kind: 'dense' };

const isScoring = ({ head }: Plan): boolean => head.kind !== 'logits';

/** Texts that are written of examples. @param count of them all, copies counted. */
function textsOf({ manifest: { task }, model }: Ahead, examples: readonly Example[], count: number): Texts {
  const prompt = Math.min(longestText(model), Math.max(1, ...examples.map(({ answer }) => answer?.ids.length ?? 0)));
  const max_new_tokens = task.kind === 'answer' ? task.max_new_tokens : 0;
  return { count, prompt, max_new_tokens, sequences: sequencesFor(prompt) };
}

/** Evaluations: losses, and for a task of answers every text at once. */
function judging(ahead: Ahead): readonly Demand[] {
  const { manifest, model, held } = ahead;
  const scored = forwardDemand(model, plansOf(manifest, model, [], held).filter(isScoring), held.length);
  if (manifest.task.kind !== 'answer' || held.length === 0) return [scored];
  return [scored, writingDemand(model, NONE, textsOf(ahead, held, held.length))];
}

/** What a peer does in a round. @param records that it measures. */
function measuring(ahead: Ahead, plans: readonly Plan[], records: number): Demand {
  const { manifest, model, dataset } = ahead;
  const { train } = dataset;
  if (isWritten(manifest.objective)) {
    const samples = Math.min(CHUNK, records) * manifest.samples_per_record;
    return writingDemand(model, perturbationOf(manifest), textsOf(ahead, train, 2 * samples));
  }
  const batches = batchesOf({ manifest, model, train, records });
  if (manifest.estimator === 'forward_gradient') {
    const moved = new Set(viewOf(model, manifest.view));
    return tangentDemand(model, manifest.direction, plans, batches, (id) => moved.has(id));
  }
  // `conservative` looks at the loss where the weights are, too.
  const here =
    manifest.estimator === 'conservative' ? plans.map((plan): Plan => ({ ...plan, perturbation: NONE })) : [];
  return forwardDemand(model, [...plans, ...here], batches);
}

const NOTES: readonly (readonly [applies: (manifest: Manifest) => boolean, note: string])[] = [
  [
    ({ objective }) => isWritten(objective),
    'seconds and bytes are those of texts that are all as long as max_new_tokens lets them be',
  ],
  [({ objective }) => typeof objective === 'object', 'seconds leave out what the reward itself takes'],
  [({ estimator }) => estimator === 'conservative', 'seconds are those of rounds in which every step is tried'],
];

/** @param company peers that share the records of a round. */
export function ofRounds(ahead: Ahead, company: number): Outlook {
  const { manifest, model, dataset } = ahead;
  const records = Math.ceil(manifest.records_per_round / company);
  const all = plansOf(manifest, model, dataset.train, []);
  const plans = all.filter(isScoring);
  const state = stateOf(model, manifest);
  const { train, choices } = dataset;
  return {
    peer: (base, offloaded) => footprint(model, [measuring(ahead, plans, records)], state, base, offloaded),
    host: (base, offloaded) => footprint(model, judging(ahead), state, base, offloaded),
    time: (engine, now) =>
      stepTime({ ...ahead, train, choices, records, plans: isWritten(manifest.objective) ? all : plans }, engine, now),
    wire: roundBytes(manifest, company),
    notes: NOTES.filter(([applies]) => applies(manifest)).map(([, note]) => note),
  };
}

/** Shapes of the batches of the first steps, and how many a gradient has at most. */
function stepShapes({ manifest, model, dataset }: Ahead, settings: Settings) {
  const shapes = new Map<string, Pick<Plan, 'dims' | 'head'>>();
  let most = 0;
  for (let t = 0; t < Math.min(LOOKED_AT, manifest.max_steps); t++)
    for (const examples of batchesOfStep({ learner: { dataset, manifest }, settings }, t)) {
      const parts = batchExamples(examples, model.positions, true);
      most = Math.max(most, parts.length);
      for (const { sequences, tokens, scored } of parts)
        shapes.set(`${sequences} ${tokens} ${scored}`, {
          dims: { sequences, tokens, scored },
          head: headOf(manifest.task),
        });
    }
  return { shapes: [...shapes.values()], most };
}

/** Of a training along a gradient, in one process and without a network. */
export function ofGradient(ahead: Ahead, settings: Settings): Outlook {
  const { manifest, model, dataset } = ahead;
  const { train, choices } = dataset;
  const view = viewOf(model, manifest.view);
  const whole = new Set(view);
  const { zeroth } = settings;
  const along: { first: Kept; zeroth: Kept } = zeroth
    ? split(model, view, zeroth.backprop_blocks)
    : { first: (id) => whole.has(id), zeroth: () => false };
  const { shapes, most } = stepShapes(ahead, settings);
  const records = manifest.records_per_round;
  const plans = plansOf(manifest, model, train, []).filter(isScoring);
  const demands = [
    backwardDemand(model, shapes, most, along.first),
    ...judging(ahead),
    ...(zeroth ? [measuring(ahead, plans, records)] : []),
  ];
  const { optim, gradient_accumulation_steps: batches } = settings;
  const state = stateAlong(model, along.first, optim.kind === 'adamw' ? 2 : 1, batches);
  const plain = shapes.map((shape): Plan => ({ ...shape, perturbation: { kind: 'none' } }));
  const elements = (kept: Kept): number => elementsOf(model.tensors.filter(({ id }) => kept(id)));
  return {
    peer: (base, offloaded) => footprint(model, demands, state, base, offloaded),
    async time(engine, now) {
      const subject = { ...ahead, train, choices };
      const gradient = await gradientTime({ ...subject, settings, plans: plain, kept: along.first }, engine, now);
      if (!zeroth) return gradient;
      const slopes = await stepTime({ ...subject, plans, records }, engine, now);
      const share = elements(along.zeroth) / elements((id) => whole.has(id));
      return { measure: gradient.measure + slopes.measure, apply: gradient.apply + share * slopes.apply };
    },
    wire: { 'bytes/gradients': 0, 'bytes/wire': 0 },
    notes: [],
  };
}
