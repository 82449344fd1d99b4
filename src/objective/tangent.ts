/**
 * (weights, a direction, batches) → how much each loss changes along the direction: the derivative itself, by forward-mode
 * differentiation, where `forward.ts` measures two losses apart. Stage by stage, activations with their tangents go on
 * together; what comes before the first weight that moves has none.
 *
 * The tangent of a weight is scale · z, made by the kernels that perturb weights (`tangent-feeds.ts`), so it is the
 * direction that a record of the same name is measured and applied along. Low-rank directions stand beside the products,
 * one for every sequence of a call; the others are made whole, one for every call.
 *
 * @module
 */
import { DOT, jvp } from '../graph/jvp.ts';
import type { Form, Model, Stage } from '../model/stage.ts';
import type { Weights } from '../model/weights.ts';
import type { Batch, Direction, DirectionKey, Task } from '../nouns.ts';
import type { Kept } from '../numeric/mask.ts';
import type { Engine, TypedArray } from '../ports.ts';
import { arrayPool, behindPrompt, headOf, seenBy } from './forward.ts';
import { headCotangents, lossGradient } from './head-gradient.ts';
import { type Derivation, programStore } from './programs.ts';
import { headOutput } from './scores.ts';
import { formAlong, movedInput, plainFeeds, tangentFeeds } from './tangent-feeds.ts';

/** The directions of a call. */
export interface Moves {
  readonly direction: Direction;
  /**
   * (batches)(S) of each sequence. Only low-rank directions may differ inside a batch; of the others neighbouring batches
   * with the same key share its making.
   */
  readonly keys: readonly (readonly DirectionKey[])[];
  /** Tensors that move. */
  readonly kept: Kept;
}

export interface Tangent {
  /**
   * @param choices token ids of the label words, empty for language modelling.
   * @returns (batches)(S) change of each sequence's loss (`sequenceLosses`) per unit of direction; NaN where the loss is
   * not a number.
   */
  slopes(batches: readonly Batch[], task: Task, choices: Int32Array, moves: Moves): Promise<readonly Float64Array[]>;
  release(): Promise<void>;
}

/** Batches that share one making of a stage's weights. */
const GROUP = 8;

const derivationOf = (wrt: readonly string[]): Derivation => ({
  name: `jvp ${wrt.join()}`,
  derive: (graph) => jvp(graph, wrt),
});

/** An array and its tangent, of each batch. `dot` is absent as long as nothing has moved. */
interface Moving {
  readonly value: Float32Array;
  readonly dot: Float32Array | undefined;
}

/** What a program reads and writes besides weights and constants. Tangents of outputs are added where there are any. */
interface Call {
  readonly feeds: Readonly<Record<string, TypedArray>>;
  readonly outputs: Readonly<Record<string, Moving>>;
}

/** Arrays of outputs and of their tangents, by name. */
function flattened(outputs: Call['outputs']): Record<string, TypedArray> {
  const arrays: Record<string, TypedArray> = {};
  for (const [name, { value, dot }] of Object.entries(outputs)) {
    arrays[name] = value;
    if (dot) arrays[name + DOT] = dot;
  }
  return arrays;
}

/** @param weights their pages have scratch of `tangentScratch` floats at least. */
export function createTangent(model: Model, weights: Weights, engine: Engine): Tangent {
  const programs = programStore(engine);
  const pool = arrayPool();
  const specs = new Map(model.tensors.map((spec) => [spec.name, spec]));

  const movedBy = ({ bindings }: Stage, { direction, kept }: Moves): readonly string[] =>
    bindings.flatMap((binding) => {
      const { id, shape } = specs.get(binding.tensor)!;
      return kept(id) ? [movedInput(direction, binding, shape)] : [];
    });

  /** Runs one stage on all batches of a group. @param wrt what moves, x perhaps among it; none: no tangents at all. */
  async function visit(
    stage: Stage,
    batches: readonly Batch[],
    choices: Int32Array,
    { direction, keys }: Moves,
    wrt: readonly string[],
    own: (i: number) => Call,
  ): Promise<void> {
    const derivation = wrt.length > 0 ? derivationOf(wrt) : undefined;
    const form: Form = derivation ? formAlong(direction) : { kind: 'plain' };
    await weights.visit(stage.bindings[0]!.tensor, async (page) => {
      const start = page.scratch.mark();
      try {
        const feedsOf = derivation
          ? tangentFeeds(stage, page, direction, new Set(wrt), choices)
          : plainFeeds(stage, page, choices);
        for (const [i, text] of batches.entries()) {
          const batch = seenBy(model, stage, text);
          const { program, constants } = await programs.of(stage, batch, form, derivation);
          const read = feedsOf(batch, keys[i]!);
          const { feeds, outputs } = own(i);
          await program.run({ ...constants, ...read, ...feeds }, flattened(outputs));
        }
      } finally {
        page.scratch.release(start); // whatever broke off
      }
    });
  }

  const fed = (x: Moving | undefined): Record<string, TypedArray> =>
    x ? { x: x.value, ...(x.dot && { [`x${DOT}`]: x.dot }) } : {};

  function give(xs: readonly (Moving | undefined)[]): void {
    for (const x of xs) for (const array of [x?.value, x?.dot]) if (array) pool.give(array);
  }

  async function runGroup(batches: readonly Batch[], task: Task, choices: Int32Array, moves: Moves) {
    let isMoving = false;
    /** Goes on through a stage. @param rows of activations that it gives for a batch. */
    const pass = async (
      stage: Stage,
      xs: readonly (Moving | undefined)[],
      rows: (batch: Batch) => number,
      feeds: (i: number) => Record<string, TypedArray>,
    ): Promise<Moving[]> => {
      const wrt = [...(isMoving ? ['x'] : []), ...movedBy(stage, moves)];
      isMoving = wrt.length > 0;
      const ys = batches.map((batch): Moving => {
        const length = rows(batch) * model.hidden;
        return { value: pool.take(length), dot: isMoving ? pool.take(length) : undefined };
      });
      await visit(stage, batches, choices, moves, wrt, (i) => ({
        feeds: { ...fed(xs[i]), ...feeds(i) },
        outputs: { y: ys[i]! },
      }));
      give(xs);
      return ys;
    };
    const all = ({ sequences, tokens }: Batch) => sequences * (tokens + model.virtual);
    let xs = await pass(model.embed, [], all, () => ({}));
    for (const block of model.blocks) xs = await pass(block, xs, all, () => ({}));
    xs = await pass(
      model.final,
      xs,
      ({ sequences, scored }) => sequences * scored,
      (i) => ({ at: behindPrompt(model, batches[i]!).at }),
    );
    const slopes = await score(batches, task, choices, moves, xs, isMoving);
    give(xs);
    return slopes;
  }

  /** The head: what its outputs move by, times what the losses owe to each of them. */
  async function score(
    batches: readonly Batch[],
    task: Task,
    choices: Int32Array,
    moves: Moves,
    xs: readonly Moving[],
    isMoving: boolean,
  ): Promise<Float64Array[]> {
    const head = headOf(task);
    const scores = batches.map((batch) => headOutput(head, batch, model.vocabulary));
    /** (pieces)(batches) */
    const said: { first: number; count: number; parts: { feeds: Call['feeds']; outputs: Record<string, Moving> }[] }[] =
      [];
    for (const { stage, first, count } of model.head(head)) {
      const wrt = [...(isMoving ? ['x'] : []), ...movedBy(stage, moves)];
      const parts = scores.map((of) => {
        const { feeds, outputs, done } = of.part({ first, count });
        const moving = Object.entries(outputs).map(([name, value]) => {
          const array = value as Float32Array;
          return [name, { value: array, dot: wrt.length > 0 ? new Float32Array(array.length) : undefined }] as const;
        });
        return { feeds, outputs: Object.fromEntries(moving), done };
      });
      await visit(stage, batches, choices, moves, wrt, (i) => ({
        feeds: { ...fed(xs[i]), ...parts[i]!.feeds },
        outputs: parts[i]!.outputs,
      }));
      for (const { done } of parts) done();
      said.push({ first, count, parts });
    }
    return batches.map((batch, b) => {
      const ones = new Float64Array(batch.sequences).fill(1);
      const bar = lossGradient(task, batch, scores[b]!.result(), ones);
      const values = said.map(({ first, count, parts }) => ({
        first,
        count,
        outputs: Object.fromEntries(Object.entries(parts[b]!.outputs).map(([name, { value }]) => [name, value])),
      }));
      const slopes = new Float64Array(batch.sequences);
      for (const [piece, bars] of headCotangents(task, batch, values, bar).entries())
        for (const [name, { dot }] of Object.entries(said[piece]!.parts[b]!.outputs)) {
          const own = bars[`${name}.bar`]!;
          const each = own.length / batch.sequences;
          for (let i = 0; dot && i < own.length; i++) slopes[Math.floor(i / each)]! += own[i]! * dot[i]!;
        }
      return slopes;
    });
  }

  return {
    async slopes(batches, task, choices, moves) {
      const found: Float64Array[] = [];
      for (let from = 0; from < batches.length; from += GROUP) {
        const keys = moves.keys.slice(from, from + GROUP);
        found.push(...(await runGroup(batches.slice(from, from + GROUP), task, choices, { ...moves, keys })));
      }
      return found;
    },
    release: () => programs.release(),
  };
}
