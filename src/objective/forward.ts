/**
 * (weights, batches) → what the head says. Stages are visited once for a group of batches, so that the making of a
 * stage's weights weighs little: memory is the masters, one stage of scratch, and the activations of a group.
 *
 * @module
 */
import { behind, type Dims, type Form, type Head, isContinued, type Model, type Stage } from '../model/stage.ts';
import type { Page, Weights } from '../model/weights.ts';
import type { Batch, DirectionKey, Task } from '../nouns.ts';
import type { Engine, TypedArray } from '../ports.ts';
import { type Cache, cacheIo } from './cache.ts';
import { batchFeeds, type Feeds, stageFeeds, stageScratch } from './feeds.ts';
import { formOf, lanesOf, type Perturbation, type PerturbationKind, precisionOf } from './perturbation.ts';
import { programStore } from './programs.ts';
import { headOutput, type Scores } from './scores.ts';

export interface Forward {
  /**
   * @param choices token ids of the label words, for a choice head.
   * @param caches (lanes)(batches) what earlier tokens left, for batches with a `past`; what theirs leave is added.
   * @returns (lanes)(batches): `lm` nll (S·P), nats; `choice` scores (S·P, C); `logits` (S·P, V). Row-major.
   */
  run(
    batches: readonly Batch[],
    head: Head,
    perturbation: Perturbation,
    choices?: Int32Array,
    caches?: Caches,
  ): Promise<readonly (readonly Float32Array[])[]>;
  release(): Promise<void>;
}

/** (lanes)(batches) */
export type Caches = readonly (readonly Cache[])[];

/** A kind of call that memory is set aside for. */
export interface Plan {
  readonly dims: Dims;
  readonly head: Head;
  readonly perturbation: PerturbationKind;
}

/** The head that scores a task: of tokens, or of label words. */
export const headOf = (task: Task): Head =>
  task.kind === 'choice' ? { kind: 'choice', choices: task.labels.length } : { kind: 'lm' };

/** Floats of scratch that the largest of the planned calls takes. */
export function scratchLength(model: Model, plans: readonly Plan[]): number {
  const shapes = new Map(model.tensors.map(({ name, shape }) => [name, shape]));
  const shapeOf = (name: string) => shapes.get(name)!;
  let most = 0;
  for (const { dims, head, perturbation } of plans) {
    const choices = head.kind === 'choice' ? head.choices : 0;
    const pieces = model.head(head).map(({ stage }) => stage);
    for (const stage of [model.embed, ...model.blocks, model.final, ...pieces])
      most = Math.max(
        most,
        stageScratch(stage, shapeOf, stage === model.embed ? dims : behind(model, dims), perturbation, choices),
      );
  }
  return most;
}

/** Batches that share one making of a stage's weights. */
const GROUP = 16;

/** Floats of activations that a call on `batches` batches keeps: see `runGroup`, which takes and gives back as many. */
export function activationFloats(
  model: Pick<Model, 'hidden' | 'virtual'>,
  { dims, perturbation }: Plan,
  batches: number,
): number {
  const { hidden } = model;
  const { sequences, tokens, scored } = behind(model, dims);
  // Input and output of the stage at hand; the scored rows take the place of one of them where they are as many.
  const rows = 2 * tokens + (scored === tokens ? 0 : scored);
  return lanesOf(perturbation) * Math.min(batches, GROUP) * sequences * rows * hidden;
}
const NO_CHOICES = new Int32Array(0);

/** Activations of the batches of a group, in one or two lanes. Lanes that have not parted yet are one. */
type Lanes = (Float32Array | undefined)[][];

/** @param weights their pages have scratch of `scratchLength` floats at least. */
export function createForward(model: Model, weights: Weights, engine: Engine): Forward {
  const programs = programStore(engine);
  const pool = arrayPool();
  const ids = new Map(model.tensors.map(({ name, id }) => [name, id]));

  /** Whether a direction moves any weight that the stage uses. */
  const isMoved = ({ bindings }: Stage, p: Perturbation): boolean =>
    p.kind !== 'none' && bindings.some(({ tensor }) => p.kept(ids.get(tensor)!));

  /** Runs one stage on all batches of a group. @param own inputs and outputs of a batch in a lane, weights aside. */
  async function visit(
    stage: Stage,
    batches: readonly Batch[],
    p: Perturbation,
    choices: Int32Array,
    own: (i: number, lane: number) => Io,
  ): Promise<void> {
    const form = formOf(p);
    await weights.visit(stage.bindings[0]!.tensor, async (page) => {
      const start = page.scratch.mark();
      try {
        for (const [from, to, key] of runsOf(batches.length, p)) {
          page.scratch.release(start);
          const shared = stageFeeds(stage, page, p, key);
          for (let i = from; i < to; i++)
            await runBatch(stage, page, p, form, batches[i]!, choices, shared, keysOf(p, i), (lane) => own(i, lane));
        }
      } finally {
        page.scratch.release(start); // whatever broke off
      }
    });
  }

  async function runBatch(
    stage: Stage,
    page: Page,
    p: Perturbation,
    form: Form,
    batch: Batch,
    choices: Int32Array,
    shared: readonly Feeds[],
    keys: readonly DirectionKey[],
    own: (lane: number) => Io,
  ): Promise<void> {
    const mark = page.scratch.mark();
    const { program, constants } = await programs.of(stage, batch, form);
    const placed = isContinued(batch) ? stage.constants(batch, batch.starts) : constants;
    const each = batchFeeds(stage, page, p, batch, choices, keys);
    for (const [lane, whole] of shared.entries()) {
      const { feeds, outputs, done } = own(lane);
      await program.run({ ...placed, ...whole, ...each[lane], ...feeds }, outputs);
      done?.();
    }
    page.scratch.release(mark);
  }

  const activations = ({ sequences, tokens }: Dims): Float32Array =>
    pool.take(sequences * (tokens + model.virtual) * model.hidden);

  /** Embedding and blocks. @returns (lanes)(batches) activations (S·T, D). */
  async function body(
    batches: readonly Batch[],
    p: Perturbation,
    choices: Int32Array,
    caches: Caches | undefined,
  ): Promise<Lanes> {
    const stages = [model.embed, ...model.blocks];
    // Both sides of a text that is written differ from its first token on.
    const moved = p.kind === 'none' || caches ? 0 : stages.findIndex((stage) => isMoved(stage, p));
    const split = moved < 0 ? stages.length : moved;
    // What comes before the first weight that moves is the same on both sides: it is computed once.
    const halves = p.kind === 'sided' ? batches.map(half) : batches;
    const from = (stage: Stage, of: readonly Batch[]): readonly Batch[] =>
      stage === model.embed ? of : of.map((batch) => behind(model, batch));
    let lanes: Lanes = [new Array<undefined>(batches.length).fill(undefined)];
    const pass = async (stage: Stage, of: readonly Batch[], perturbation: Perturbation): Promise<void> => {
      const next = lanes.map(() => of.map(activations));
      await visit(stage, from(stage, of), perturbation, choices, (i, lane) => {
        const x = lanes[lane]![i];
        const kept = caches && stage.cache && cacheIo(caches[lane]![i]!, model.blocks.indexOf(stage), of[i]!);
        const feeds = { ...(x ? { x } : {}), ...kept?.feeds };
        return { ...kept, feeds, outputs: { y: next[lane]![i]!, ...kept?.outputs } };
      });
      for (const x of lanes.flat()) if (x) pool.give(x);
      lanes = next;
    };
    for (const stage of stages.slice(0, split)) await pass(stage, halves, { kind: 'none', precision: precisionOf(p) });
    lanes = parted(lanes, p, halves);
    for (const stage of stages.slice(split)) await pass(stage, batches, p);
    return lanes;
  }

  /** The activations of a common prefix, for both sides of every measurement. */
  function parted(lanes: Lanes, p: Perturbation, halves: readonly Batch[]): Lanes {
    const [common] = lanes as [(Float32Array | undefined)[]];
    if (p.kind === 'none') return lanes;
    if (p.kind === 'dense') return [common, common.map((x) => x && copied(x, pool.take(x.length)))];
    const twice = common.map((x, i) => {
      if (!x) return undefined;
      const both = pool.take(2 * x.length);
      const length = x.length / halves[i]!.sequences;
      for (let s = 0; s < halves[i]!.sequences; s++) {
        const one = x.subarray(s * length, (s + 1) * length);
        both.set(one, 2 * s * length);
        both.set(one, (2 * s + 1) * length);
      }
      pool.give(x);
      return both;
    });
    return [twice];
  }

  /** @returns (lanes)(batches) */
  async function runGroup(
    texts: readonly Batch[],
    head: Head,
    p: Perturbation,
    choices: Int32Array,
    caches: Caches | undefined,
  ) {
    const lanes = await body(texts, p, choices, caches);
    const batches = texts.map((batch) => behindPrompt(model, batch));
    const scored = lanes.map(() => batches.map((b) => pool.take(b.sequences * b.scored * model.hidden)));
    await visit(model.final, batches, p, choices, (i, lane) => ({
      feeds: { x: lanes[lane]![i]!, at: batches[i]!.at },
      outputs: { y: scored[lane]![i]! },
    }));
    for (const x of lanes.flat()) pool.give(x!);
    const outputs: Scores[][] = lanes.map(() => batches.map((batch) => headOutput(head, batch, model.vocabulary)));
    for (const piece of model.head(head)) {
      const parts = outputs.map((lane) => lane.map((scores) => scores.part(piece)));
      await visit(piece.stage, batches, p, choices, (i, lane) => {
        const { feeds, outputs: out } = parts[lane]![i]!;
        return { feeds: { x: scored[lane]![i]!, ...feeds }, outputs: out };
      });
      for (const part of parts.flat()) part.done();
    }
    for (const x of scored.flat()) pool.give(x);
    return outputs.map((lane) => lane.map((scores) => scores.result()));
  }

  return {
    async run(batches, head, p, choices = NO_CHOICES, caches = undefined) {
      const outputs: Float32Array[][] = Array.from({ length: lanesOf(p) }, () => []);
      for (let from = 0; from < batches.length; from += GROUP) {
        const part = p.kind === 'none' ? p : { ...p, keys: p.keys.slice(from, from + GROUP) };
        const kept = caches?.map((lane) => lane.slice(from, from + GROUP));
        const results = await runGroup(batches.slice(from, from + GROUP), head, part as Perturbation, choices, kept);
        for (const [lane, arrays] of results.entries()) outputs[lane]!.push(...arrays);
      }
      return outputs;
    },
    release: () => programs.release(),
  };
}

/** What a program reads and writes besides weights and constants, and what is to do when it has. */
interface Io {
  readonly feeds: Readonly<Record<string, TypedArray>>;
  readonly outputs: Readonly<Record<string, TypedArray>>;
  readonly done?: () => void;
}

/** Batches `from` … `to - 1` share the making of a stage's weights. */
type Run = readonly [from: number, to: number, key: DirectionKey | undefined];

function runsOf(count: number, p: Perturbation): readonly Run[] {
  if (p.kind !== 'dense') return [[0, count, undefined]];
  const runs: Run[] = [];
  for (let from = 0; from < count; ) {
    const key = p.keys[from]!;
    let to = from + 1;
    while (to < count && p.keys[to] === key) to++;
    runs.push([from, to, key]);
    from = to;
  }
  return runs;
}

/** The directions of a batch. */
function keysOf(p: Perturbation, batch: number): readonly DirectionKey[] {
  if (p.kind === 'none') return [];
  return p.kind === 'dense' ? [p.keys[batch]!] : p.keys[batch]!;
}

/** The batch as a stage sees it. */
export const seenBy = (model: Pick<Model, 'embed' | 'virtual'>, stage: Stage, batch: Batch): Batch =>
  stage === model.embed ? batch : behindPrompt(model, batch);

/** The batch of the stages behind a prompt: each sequence, and what is scored of it, stands further down. */
export function behindPrompt(model: Pick<Model, 'virtual'>, batch: Batch): Batch {
  const { virtual } = model;
  if (virtual === 0) return batch;
  return behind(model, { ...batch, at: batch.at.map((row) => row + virtual * (Math.floor(row / batch.tokens) + 1)) });
}

/** The first of every two sequences: a batch of pairs, each example once. */
function half(batch: Batch): Batch {
  const sequences = batch.sequences / 2;
  const ids = new Int32Array(sequences * batch.tokens);
  const lengths = Int32Array.from({ length: sequences }, (_, s) => batch.lengths[2 * s]!);
  for (let s = 0; s < sequences; s++)
    ids.set(batch.ids.subarray(2 * s * batch.tokens, (2 * s + 1) * batch.tokens), s * batch.tokens);
  return { ...batch, sequences, ids, lengths };
}

function copied(from: Float32Array, to: Float32Array): Float32Array {
  to.set(from);
  return to;
}

export interface ArrayPool {
  /** What is in it is left from before. */
  take(length: number): Float32Array;
  give(array: Float32Array): void;
}

/** Activations for use again: what a call needs, the next one needs too. */
export function arrayPool(): ArrayPool {
  const free = new Map<number, Float32Array[]>();
  return {
    take: (length) => free.get(length)?.pop() ?? new Float32Array(length),
    give(array) {
      const list = free.get(array.length);
      if (list) list.push(array);
      else free.set(array.length, [array]);
    },
  };
}
