/**
 * Manifest and files → a replica, with the WebAssembly kernels. Everything is named by hash, so a host, a peer and a
 * replay open the same thing from wherever their copies lie.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { batchExamples, sequencesFor } from '../../data/batch.ts';
import { buildDataset, type Dataset } from '../../data/dataset.ts';
import { cachedTokens } from '../../data/node/token-cache.ts';
import { textOf } from '../../data/rows.ts';
import { textTokens } from '../../data/text.ts';
import { spsa } from '../../estimator/spsa.ts';
import { Fault } from '../../faults.ts';
import { encodeManifest } from '../../journal/manifest.ts';
import { directionOf, keptIn, type Learner } from '../../method/onebyte.ts';
import { type Checkpoint, openCheckpoint } from '../../model/checkpoint.ts';
import { type ModelConfig, readConfig } from '../../model/config.ts';
import { firstWeights, type Read } from '../../model/first.ts';
import { modelOf } from '../../model/model.ts';
import { fileSource } from '../../model/node/files.ts';
import { pageFile } from '../../model/node/page-file.ts';
import { offloadedShelf } from '../../model/offloaded.ts';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, checkAdapterConfig, isShard } from '../../model/peft.ts';
import { residentShelf } from '../../model/resident.ts';
import type { Dims, Model, TensorSpec } from '../../model/stage.ts';
import { openTokenizer, type Tokenizer } from '../../model/tokenizer.ts';
import { viewOf, windowsOf } from '../../model/view.ts';
import { fixWeights, pagesOf, type Shelf, type Weights } from '../../model/weights.ts';
import type { BlobRef, Example, Hex, Manifest, Precision, View } from '../../nouns.ts';
import { elementMask } from '../../numeric/element-mask.ts';
import { powerOfTwo } from '../../numeric/fixed.ts';
import { wasmBytes, wasmKernels } from '../../numeric/wasm/wasm.ts';
import { createBackward } from '../../objective/backward.ts';
import { longestText } from '../../objective/decode.ts';
import { createForward, headOf, type Plan, scratchLength } from '../../objective/forward.ts';
import type { PerturbationKind } from '../../objective/perturbation.ts';
import { createTangent } from '../../objective/tangent.ts';
import { tangentScratch } from '../../objective/tangent-feeds.ts';
import type { Engine } from '../../ports.ts';
import { classify } from '../classify.ts';
import { exchangeReplica } from '../exchange-replica.ts';
import { type Generation, generate } from '../generate.ts';
import { inTurn, type LocalReplica, localReplica } from '../local-replica.ts';
import type { Replica } from '../replica.ts';
import { nodeCrypto } from './crypto.ts';
import { loadReward, rewardOf } from './reward.ts';

/** What a replica is opened from. Plain data: it crosses to a worker thread. */
export interface ReplicaSpec {
  readonly manifest: Manifest;
  /** Where the files that the manifest names lie on this machine, by hash. */
  readonly paths: Readonly<Record<Hex, string>>;
  /** Threads of ONNX Runtime. */
  readonly threads: number;
  /** Folder to keep the blocks of the model in, for models larger than memory. */
  readonly offloadFolder?: string | undefined;
  /** Folder to keep the tokens of texts in, so that they are made once. */
  readonly tokenCache?: string | undefined;
  /** Held-out examples to evaluate on at most, from the first. */
  readonly maxEvalSamples?: number | undefined;
  /** Held-out data in place of the manifest's, for a judgement of one's own. */
  readonly evalData?: BlobRef | undefined;
}

/** How far apart two losses are measured, and with what. */
export type Measuring = Pick<Manifest, 'eps' | 'forward_precision'>;

/** What more the tools of one machine ask of a replica. */
export interface NodeReplica extends Replica {
  /** Slopes of `count` directions that no round uses, to calibrate a new run. @param measuring the manifest's, if absent. */
  slopes(count: number, measuring?: Measuring): Promise<readonly number[]>;
  generate(prompts: readonly string[], options: Generation): Promise<readonly string[]>;
  /** Probabilities of a choice task's classes for one text. */
  classify(columns: Readonly<Record<string, string>>): Promise<readonly number[]>;
  /** Weights of one tensor as f32, row-major. */
  tensor(name: string): Promise<Float32Array>;
}

/** A round that no run reaches: its directions are free for calibration. */
const CALIBRATION_ROUND = 0xffff_ffff;

/** A learner with the base that it came from. */
export interface Opened {
  readonly learner: Learner;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** Examples to evaluate on. */
  readonly held: readonly Example[];
}

/** Data in place of what the manifest names. */
export type MakeData = (tokenizer: Tokenizer, positions: number, tokenizerText: string) => Promise<Dataset>;

/** @throws {Fault} CONFIG_INVALID for a run whose replicas keep more than weights */
export function checkOffload({ optimizer }: Pick<Manifest, 'optimizer'>, folder: string | undefined): void {
  if (optimizer?.kind === 'adam' && folder !== undefined)
    throw new Fault(
      'CONFIG_INVALID',
      'offload_folder: optimizer adam keeps 16 bytes a weight in memory, which a model on disk has no room for; leave it out',
    );
}

/** @throws {Fault} FILE_MISSING, MODEL_*, TOKENIZER_MISMATCH, DATA_INVALID, LABEL_WORD, CONFIG_INVALID, TOO_LARGE */
export async function openLearner(
  spec: ReplicaSpec,
  engine: Engine,
  makeData: MakeData = (tokenizer, positions, settings) => openData(spec, tokenizer, positions, settings),
): Promise<Opened> {
  const { manifest } = spec;
  checkOffload(manifest, spec.offloadFolder);
  const path = ({ path: name, sha256 }: BlobRef): string => {
    const found = spec.paths[sha256];
    if (found === undefined)
      throw new Fault('FILE_MISSING', `${name} of the base is not on this machine; name its folder with --model`);
    return found;
  };
  const { files } = manifest.base;
  const { model, tokenizer, tokenizerText, read } = await openBase(
    new Set(files.map((file) => file.path)),
    (name) => path(files.find((file) => file.path === name)!),
    manifest,
  );
  const view = viewOf(model, manifest.view);
  const dataset = await makeData(tokenizer, model.positions, tokenizerText);
  const held = dataset.eval.slice(0, spec.maxEvalSamples);
  const plans = plansOf(manifest, model, dataset.train, held);
  const isForward = manifest.estimator === 'forward_gradient';
  const floats = Math.max(
    scratchLength(model, plans),
    isForward ? tangentScratch(model, manifest.direction, plans) : 0,
  );
  const shelf = await shelfOf(spec, model, floats);
  const run = runWord(manifest);
  const { element_mask: mask, blocks_per_round: blocks } = manifest;
  const movedIn = mask && ((tensor: TensorSpec, q: Int32Array) => elementMask(mask, tensor, q, run));
  const weights = await fixWeights(model, shelf, read, movedIn);
  const forward = createForward(model, weights, engine);
  const learner: Learner = {
    ...{ manifest, run, weights, view },
    ...(blocks === undefined ? {} : { windows: windowsOf(model, view, blocks) }),
    dataset,
    forward,
    task: manifest.task,
    choices: dataset.choices,
    positions: model.positions,
    precision: manifest.forward_precision,
    objective: manifest.objective,
    reward: await rewardFrom(spec),
    writer: { forward, model, tokenizer },
    ...(isForward ? { tangent: createTangent(model, weights, engine) } : {}),
  };
  return { learner, model, tokenizer, held };
}

/** @throws {Fault} as `openLearner` */
export async function openReplica(spec: ReplicaSpec, engine: Engine): Promise<NodeReplica & LocalReplica> {
  const { learner, model, tokenizer, held } = await openLearner(spec, engine);
  const { manifest, weights } = learner;
  const { exchange } = manifest;
  const turn = inTurn();
  const replica = exchange
    ? exchangeReplica(learner, model, createBackward(model, weights, engine), exchange, held, nodeCrypto, turn)
    : localReplica(learner, held, nodeCrypto, turn);
  return {
    settleOne: async () => false,
    ...replica,
    slopes: (count, measuring = manifest) => turn(async () => [...(await calibrate(learner, count, measuring))]),
    generate: (prompts, options) => turn(() => generate(learner.forward, model, tokenizer, prompts, options)),
    classify: (columns) => turn(() => classify(learner, tokenizer, columns)),
    tensor: (name) => turn(() => materialised(weights, name)),
  };
}

/** The user's copy of the run's reward, where one was named. */
async function rewardFrom({ manifest, paths }: ReplicaSpec): Promise<Learner['reward']> {
  const reward = rewardOf(manifest);
  const path = reward && paths[reward.sha256];
  return reward && path !== undefined ? loadReward(path, reward) : undefined;
}

/** The first word of the run id: what the noise is keyed with. */
function runWord(manifest: Manifest): number {
  const id = nodeCrypto.sha256(encodeManifest(manifest));
  return new DataView(id.buffer, id.byteOffset).getUint32(0, true);
}

async function shelfOf({ offloadFolder }: ReplicaSpec, model: Model, floats: number): Promise<Shelf> {
  const pages = pagesOf(model);
  const make = (lengths: readonly number[]) => wasmKernels({ bytes: wasmBytes(lengths) });
  return offloadFolder === undefined
    ? residentShelf(pages, floats, make)
    : offloadedShelf(pages, floats, make, await pageFile(offloadFolder));
}

const NO_DATA: Dataset = { train: [], eval: [], choices: new Int32Array(0), truncated: 0 };

/** Data is needed to measure and to judge, not to rebuild a model: without it, all the rest works. */
async function openData(
  { manifest, paths, tokenCache, evalData = manifest.data.eval }: ReplicaSpec,
  tokenizer: Tokenizer,
  positions: number,
  tokenizerText: string,
): Promise<Dataset> {
  const data = evalData ? { ...manifest.data, eval: evalData } : manifest.data;
  const [train, held] = [data.train, data.eval].map((file) => file && paths[file.sha256]);
  if (train === undefined || (data.eval && held === undefined)) return NO_DATA;
  const bytes = { train: await readFile(train), eval: held === undefined ? undefined : await readFile(held) };
  const { kind } = manifest.task;
  const tokensOf = (name: string, text: Uint8Array): Promise<Int32Array> =>
    cachedTokens(tokenCache, tokenizerText, text, () => textTokens(tokenizer, textOf({ name, bytes: text })));
  const tokens =
    kind === 'lm' || kind === 'masked_lm'
      ? {
          train: await tokensOf(data.train.path, bytes.train),
          eval: bytes.eval && (await tokensOf(data.eval!.path, bytes.eval)),
        }
      : undefined;
  return buildDataset(
    manifest.task,
    data,
    { ...bytes, ...(tokens && { tokens }) },
    tokenizer,
    positions,
    manifest.seed,
  );
}

export interface Base {
  readonly config: ModelConfig;
  readonly model: Model;
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer;
  /** What it was made of. */
  readonly tokenizerText: string;
  /** Tensors of the checkpoint and of the adapter, as they are before the first round. */
  readonly read: Read;
}

/** The text of a file of a base. @throws {Fault} MODEL_INVALID where it has none */
async function baseText(name: string, names: ReadonlySet<string>, path: (name: string) => string): Promise<string> {
  if (!names.has(name)) throw new Fault('MODEL_INVALID', `the base of this run has no ${name}`);
  return readFile(path(name), 'utf8');
}

const shards = async (names: readonly string[], path: (name: string) => string): Promise<Checkpoint> =>
  openCheckpoint(await Promise.all(names.map((name) => fileSource(path(name)))));

/** The model that a base is of, by its configuration and the shapes of its tensors. @param names @param path as `openBase` */
export async function openModel(
  names: ReadonlySet<string>,
  path: (name: string) => string,
  view: View,
): Promise<Pick<Base, 'config' | 'model' | 'checkpoint'>> {
  const checkpoint = await shards([...names].filter(isShard), path);
  const config = readConfig(await baseText('config.json', names, path));
  return { config, checkpoint, model: modelOf(config, checkpoint.tensors, view) };
}

/**
 * A base, but for its weights: they are read when they are asked for.
 * @param names of its files. @param path where one of them lies on this machine.
 */
export async function openBase(
  names: ReadonlySet<string>,
  path: (name: string) => string,
  { view, seed }: Pick<Manifest, 'view' | 'seed'>,
): Promise<Base> {
  const text = (name: string): Promise<string> => baseText(name, names, path);
  const { config, model, checkpoint } = await openModel(names, path, view);
  const given = model.adapter && names.has(ADAPTER_WEIGHTS);
  if (given) checkAdapterConfig(await text(ADAPTER_CONFIG), model.adapter.view);
  const read = firstWeights(model, seed, checkpoint, given ? await shards([ADAPTER_WEIGHTS], path) : undefined);
  const settings = names.has('tokenizer_config.json') ? await text('tokenizer_config.json') : '{}';
  const json = await text('tokenizer.json');
  const tokenizer = openTokenizer(json, settings, model);
  return { config, model, checkpoint, tokenizer, tokenizerText: json + settings, read };
}

/** One call of every shape that training, evaluation and generation may make. */
export function plansOf(
  manifest: Pick<Manifest, 'task' | 'direction' | 'forward_precision' | 'objective'>,
  model: Model,
  train: readonly Example[],
  held: readonly Example[],
): Plan[] {
  const { task, objective, forward_precision } = manifest;
  const { kind, rank } = manifest.direction;
  const head = headOf(task);
  // One example of each length, in the largest call that it may be part of.
  const shapes = (examples: readonly Example[]): Dims[] => {
    const all = examples.flatMap((example) => [example, ...(example.choice?.candidates ?? [])]);
    const lengths = new Map(all.map((example) => [`${example.tokens.length} ${example.at.length}`, example]));
    const batches = batchExamples([...lengths.values()], model.positions);
    return batches.map(({ tokens, scored }) => ({ sequences: sequencesFor(tokens), tokens, scored }));
  };
  // What is measured in int8 is compared with f32 before a run begins, and judged in f32 always.
  const precisions: readonly Precision[] = forward_precision === 'f32' ? ['f32'] : ['f32', forward_precision];
  const probes = precisions.map((precision): PerturbationKind => {
    return kind === 'lowrank' ? { kind: 'sided', rank, precision } : { kind: 'dense' };
  });
  const none = { kind: 'none' } as const;
  return [
    ...shapes(train).flatMap((dims) => probes.map((perturbation): Plan => ({ dims, head, perturbation }))),
    ...shapes(held).map((dims): Plan => ({ dims, head, perturbation: none })),
    ...writingPlans(model, none),
    // What is written on both sides of a direction is written like any text.
    ...(objective === undefined || objective === 'accuracy' ? [] : probes.flatMap((p) => writingPlans(model, p))),
  ];
}

/** Calls that write texts: the longest, and the one with the most of them. Every other takes less of everything. */
function writingPlans(model: Model, perturbation: PerturbationKind): Plan[] {
  const longest = longestText(model);
  const most = Math.min(longest, FULL_CALL);
  const head = { kind: 'logits' } as const;
  return [longest, most].map((tokens): Plan => {
    const dims = { sequences: sequencesFor(tokens), tokens, scored: 1, past: tokens };
    return { dims, head, perturbation };
  });
}

/** The longest sequence of which a call takes as many as of the shortest. */
const FULL_CALL = 64;

const calibrate = (
  learner: Learner,
  count: number,
  { eps, forward_precision: precision }: Measuring,
): Promise<Float64Array> => {
  const { manifest, dataset } = learner;
  const probes = Array.from({ length: count }, (_, sample) => ({
    key: directionOf(learner, CALIBRATION_ROUND, sample),
    examples: Array.from(
      { length: manifest.samples_per_record },
      (_, k) => dataset.train[(sample * manifest.samples_per_record + k) % dataset.train.length]!,
    ),
  }));
  return spsa({ ...learner, precision }, manifest.direction, eps, probes, keptIn(learner, CALIBRATION_ROUND));
};

/** As `Kernels.materialise`, out of their memory. */
export const materialised = (weights: Weights, name: string): Promise<Float32Array> =>
  weights.visit(name, ({ tensor }) => {
    const { q, exponent } = tensor(name);
    const scale = powerOfTwo(exponent);
    return Float32Array.from(q, (value) => Math.fround(value) * scale);
  });
