/**
 * The time of a training step on this machine, before the weights are there: the step itself, on a model of one block
 * and one piece of the head with random weights, then with more blocks, then with more pieces. What these add is what
 * every further one adds.
 *
 * @module
 */
import { batchExamples } from '../../data/batch.ts';
import { sampleIndices } from '../../data/order.ts';
import { applyCommitted, type Learner, measureRecords } from '../../method/onebyte.ts';
import type { AdapterView } from '../../model/adapter.ts';
import type { ModelConfig } from '../../model/config.ts';
import { PIECE } from '../../model/head.ts';
import { modelOf } from '../../model/model.ts';
import { residentShelf } from '../../model/resident.ts';
import type { Model, Stage, TensorSpec } from '../../model/stage.ts';
import { elementsOf, fixWeights, pagesOf } from '../../model/weights.ts';
import type { Example, Manifest } from '../../nouns.ts';
import { initialScale, scaleState } from '../../numeric/scale.ts';
import { wasmBytes, wasmKernels } from '../../numeric/wasm/wasm.ts';
import { createForward, type Plan, scratchLength } from '../../objective/forward.ts';
import { headerOf } from '../../optimizer/header.ts';
import type { Engine } from '../../ports.ts';
import { CHUNK } from '../participant.ts';

export interface StepSpec {
  readonly manifest: Manifest;
  readonly config: ModelConfig;
  readonly model: Model;
  readonly train: readonly Example[];
  readonly choices: Int32Array;
  readonly plans: readonly Plan[];
  /** Records of a round that one peer measures. */
  readonly records: number;
}

/** Seconds. */
export interface StepTime {
  readonly measure: number;
  readonly apply: number;
}

/** Repetitions: one more compiles. Of the others the quickest counts, since whatever else the machine does adds time. */
const TIMES = 5;
/** Blocks and pieces of the head that are added to one, to see what they take: their time is a difference of two. */
const MORE = 2;
/** Seconds after which no repetition begins. */
const PATIENCE = 6;

/** A slope and a code as a model has them: with zeros for coefficients there would be nothing to add. */
const SLOPE = 100;
const CODE = 30;

const repeated = <T>(list: readonly T[]): T[] => Array.from({ length: 1 + MORE }, () => list).flat();

/** Of LoRA on matrices of some blocks, that on the matrices of these names in all: the one block may be another. */
function everywhere(view: AdapterView): AdapterView {
  if (!('lora' in view)) return view;
  const targets = view.lora.targets.map((target) => target.slice(target.lastIndexOf('.') + 1));
  return { lora: { ...view.lora, targets } };
}

/** One block, and the first rows of embedding and head. */
function excerpt(config: ModelConfig, model: Model): Model {
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
const movedOf = ({ tensors, adapter }: Model): readonly TensorSpec[] =>
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
const narrowed = (examples: readonly Example[], { kind }: Manifest['task'], vocabulary: number): Example[] =>
  examples.map(({ tokens, at, targets }) => ({
    tokens: within(tokens, vocabulary),
    at,
    targets: kind === 'choice' ? targets : within(targets, vocabulary),
  }));

/** Runs one step of a peer in parts. @param now milliseconds. */
export async function stepTime(spec: StepSpec, engine: Engine, now: () => number): Promise<StepTime> {
  const { manifest, model, records } = spec;
  const call = Math.min(CHUNK, records);
  const small = excerpt(spec.config, model);
  const deep: Model = { ...small, blocks: repeated(small.blocks) };
  const wide: Model = { ...small, head: (kind) => repeated(small.head(kind)) };
  const floats = scratchLength(small, spec.plans);
  const make = (lengths: readonly number[]) => wasmKernels({ bytes: wasmBytes(lengths) });
  const weights = await fixWeights(small, await residentShelf(pagesOf(small), floats, make), async (_, first, count) =>
    noise(count, first),
  );
  const { tensor_mask: mask, ...unmasked } = manifest;
  const train = narrowed(spec.train, manifest.task, small.vocabulary);
  const learnerOn = (built: Model): Learner => ({
    manifest: unmasked,
    run: 0,
    weights,
    view: movedOf(small).map(({ id }) => id),
    dataset: { train, eval: [], choices: spec.choices, truncated: 0 },
    forward: createForward(built, weights, engine),
    task: manifest.task,
    choices: within(spec.choices, small.vocabulary),
    positions: model.positions,
  });
  const learners = [small, deep, wide].map(learnerOn);
  const header = headerOf(unmasked, scaleState(initialScale([SLOPE])), 0, manifest.records_per_round);
  const committed = {
    header,
    segments: [{ slot: 0, from: 0, codes: new Int8Array(manifest.records_per_round).fill(CODE) }],
  };
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const began = now();
    await work();
    return (now() - began) / 1000;
  };
  const applied = (): Promise<number> =>
    timed(async () => {
      await applyCommitted(learners[0]!, committed);
      while (await weights.settleOne());
    });

  const began = now();
  const measured = learners.map((): number[] => []);
  const apply: number[] = [];
  for (let i = -1; i < TIMES; i++) {
    if (i > 0 && now() - began > PATIENCE * 1000) break;
    for (const [n, learner] of learners.entries()) {
      const seconds = await timed(() => measureRecords(learner, header, 0, call));
      if (i >= 0) measured[n]!.push(seconds);
    }
    const seconds = await applied();
    if (i >= 0) apply.push(seconds);
  }
  for (const { forward } of learners) await forward.release();
  await weights.close();

  const [one, deeper, wider] = measured.map((times) => Math.min(...times)) as [number, number, number];
  const block = Math.max(0, deeper - one) / MORE;
  const piece = Math.max(0, wider - one) / MORE;
  const pieces = manifest.task.kind === 'choice' ? 1 : model.vocabulary / small.vocabulary;
  const moved = mask ? mask.kept / mask.of : 1;
  const blocks = model.blocks.length;
  // A block before the trained ones is computed once, for both sides.
  const { view } = manifest;
  const still = typeof view === 'object' && 'last_blocks' in view ? blocks - view.last_blocks : 0;
  return {
    measure: (records / call) * (one + (blocks - 1 - still / 2) * block + (pieces - 1) * piece),
    apply: Math.min(...apply) * moved * (elementsOf(movedOf(model)) / elementsOf(movedOf(small))),
  };
}

/** Batches that a call of a peer is given: samples of one shape together, or each record by itself. */
export function batchesOf({ manifest, train, model, records }: Omit<StepSpec, 'config' | 'plans' | 'choices'>): number {
  const examplesOf = (record: number): Example[] =>
    sampleIndices(manifest, 0, train.length, 0, record).map((n) => train[n]!);
  const each = Array.from({ length: Math.min(CHUNK, records) }, (_, record) => examplesOf(record));
  if (manifest.direction.kind !== 'lowrank')
    return each.reduce((sum, examples) => sum + batchExamples(examples, model.positions).length, 0);
  return batchExamples(
    each.flat().flatMap((example) => [example, example]),
    model.positions,
  ).length;
}
