/**
 * A model small enough to be made at once, of which times are measured before the weights of the real one are there: one
 * block and one piece of the head with random weights. With more blocks, and with more pieces, it takes longer by what
 * every further one adds.
 *
 * @module
 */
import type { AdapterView } from '../../model/adapter.ts';
import type { ModelConfig } from '../../model/config.ts';
import { PIECE } from '../../model/head.ts';
import { modelOf } from '../../model/model.ts';
import { residentShelf } from '../../model/resident.ts';
import type { Model, Stage, TensorSpec } from '../../model/stage.ts';
import { fixWeights, pagesOf, type Weights } from '../../model/weights.ts';
import type { Example, Manifest } from '../../nouns.ts';
import { elementMask } from '../../numeric/element-mask.ts';
import { wasmBytes, wasmKernels } from '../../numeric/wasm/wasm.ts';

/** What a run is made of, but for its weights. */
export interface Subject {
  readonly manifest: Manifest;
  readonly config: ModelConfig;
  readonly model: Model;
  readonly train: readonly Example[];
  readonly choices: Int32Array;
}

export interface Excerpt {
  /** One block and one piece; more blocks; more pieces. The weights are those of the first. */
  readonly models: readonly [small: Model, deep: Model, wide: Model];
  readonly weights: Weights;
  readonly train: readonly Example[];
  readonly choices: Int32Array;
}

/** Blocks and pieces of the head that are added to one, to see what they take: their time is a difference of two. */
const MORE = 2;
/** Repetitions: one more compiles. Of the others the quickest counts, since whatever else the machine does adds time. */
const TIMES = 5;
/** Seconds after which no repetition begins. */
const PATIENCE = 6;

const repeated = <T>(list: readonly T[]): T[] => Array.from({ length: 1 + MORE }, () => list).flat();

/** Of LoRA on matrices of some blocks, that on the matrices of these names in all: the one block may be another. */
function everywhere(view: AdapterView): AdapterView {
  if (!('lora' in view)) return view;
  const targets = view.lora.targets.map((target) => target.slice(target.lastIndexOf('.') + 1));
  return { lora: { ...view.lora, targets } };
}

/** One block, and the first rows of embedding and head. */
export function excerpt(config: ModelConfig, model: Model): Model {
  const vocabulary = Math.min(model.vocabulary, PIECE);
  const named = (...stages: readonly Stage[]) => stages.flatMap(({ bindings }) => bindings.map(({ tensor }) => tensor));
  const head = named(...model.head({ kind: 'logits' }).map(({ stage }) => stage));
  const kept = new Set([...named(model.embed, model.blocks[0]!, model.final), ...head]);
  const tables = new Set([...named(model.embed), ...head]);
  const cut = (name: string, [rows = 0, ...rest]: readonly number[]): readonly number[] =>
    tables.has(name) && rows === model.vocabulary ? [vocabulary, ...rest] : [rows, ...rest];
  const added = new Set(model.adapter?.tensors);
  const tensors = model.tensors.filter(({ name }) => kept.has(name) && !added.has(name));
  const shapes = new Map(tensors.map(({ name, shape }) => [name, { shape: cut(name, shape) }]));
  return modelOf({ ...config, layers: 1, vocabulary }, shapes, model.adapter && everywhere(model.adapter.view));
}

/** Tensors that an adapter leaves to move: all, without one. */
export const movedOf = ({ tensors, adapter }: Model): readonly TensorSpec[] =>
  tensors.filter(({ name }) => !adapter || adapter.tensors.includes(name));

/** Weights that are quick to make and as small as those of a trained model. */
function noise(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 0.07;
  });
}

const within = (ids: Int32Array, vocabulary: number): Int32Array => ids.map((id) => id % vocabulary);

/** What is left of examples, their lengths kept, with few tokens. */
const narrowed = (examples: readonly Example[], task: Manifest['task'], vocabulary: number): Example[] =>
  examples.map(({ tokens, targets, choice, answer, ...rest }) => ({
    ...rest,
    tokens: within(tokens, vocabulary),
    targets: task.kind === 'choice' ? targets : within(targets, vocabulary),
    ...(choice && { choice: { ...choice, candidates: narrowed(choice.candidates, task, vocabulary) } }),
    ...(answer && { answer: { ...answer, ids: answer.ids.map((id) => id % vocabulary) } }),
  }));

/** @param scratch floats that the calls to come take on a model. */
export async function openExcerpt(subject: Subject, scratch: (model: Model) => number): Promise<Excerpt> {
  const { manifest, config, model, train, choices } = subject;
  const small = excerpt(config, model);
  const make = (lengths: readonly number[]) => wasmKernels({ bytes: wasmBytes(lengths) });
  const shelf = await residentShelf(pagesOf(small), scratch(small), make);
  const { element_mask: mask } = manifest;
  const movedIn = mask && ((tensor: TensorSpec, q: Int32Array) => elementMask(mask, tensor, q, 0));
  return {
    models: [
      small,
      { ...small, blocks: repeated(small.blocks) },
      { ...small, head: (kind) => repeated(small.head(kind)) },
    ],
    weights: await fixWeights(small, shelf, async (_, first, count) => noise(count, first), movedIn),
    train: narrowed(train, manifest.task, small.vocabulary),
    choices: within(choices, small.vocabulary),
  };
}

/** Least seconds of each of some things that are done in turn, over and over. @param now milliseconds. */
export async function leastSeconds(works: readonly (() => Promise<unknown>)[], now: () => number): Promise<number[]> {
  const least = works.map(() => Number.POSITIVE_INFINITY);
  const began = now();
  for (let i = -1; i < TIMES; i++) {
    if (i > 0 && now() - began > PATIENCE * 1000) break;
    for (const [n, work] of works.entries()) {
      const from = now();
      await work();
      if (i >= 0) least[n] = Math.min(least[n]!, (now() - from) / 1000);
    }
  }
  return least;
}

/**
 * Seconds of the whole model.
 * @param seconds of the three models of an excerpt. @param spared blocks' worth of work that is not done.
 */
export function extrapolated(
  [one, deep, wide]: readonly [number, number, number],
  {
    manifest,
    model,
  }: { readonly manifest: Pick<Manifest, 'task'>; readonly model: Pick<Model, 'blocks' | 'vocabulary'> },
  spared: number,
): number {
  const block = Math.max(0, deep - one) / MORE;
  const piece = Math.max(0, wide - one) / MORE;
  const pieces = manifest.task.kind === 'choice' ? 1 : model.vocabulary / Math.min(model.vocabulary, PIECE);
  return one + (model.blocks.length - 1 - spared) * block + (pieces - 1) * piece;
}
