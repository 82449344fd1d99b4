/**
 * Manifest and files → a replica, with the WebAssembly kernels. Everything is named by hash, so a host, a peer and a
 * replay open the same thing from wherever their copies lie, in Node and in a browser.
 *
 * @module
 */

import { buildDataset, type Dataset } from '../data/dataset.ts';
import { textOf } from '../data/rows.ts';
import { textTokens } from '../data/text.ts';
import { checkPrivacy } from '../estimator/privacy.ts';
import { spsa } from '../estimator/spsa.ts';
import { Fault } from '../faults.ts';
import { encodeManifest } from '../journal/manifest.ts';
import { directionOf, keptIn, type Learner } from '../method/onebyte.ts';
import { type Checkpoint, openCheckpoint } from '../model/checkpoint.ts';
import { type ModelConfig, readConfig } from '../model/config.ts';
import { firstWeights, type Read } from '../model/first.ts';
import { modelOf } from '../model/model.ts';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, checkAdapterConfig, isShard } from '../model/peft.ts';
import type { MakeKernels } from '../model/resident.ts';
import { type ByteSource, readAll } from '../model/source.ts';
import type { Model, TensorSpec } from '../model/stage.ts';
import { openTokenizer, type Tokenizer } from '../model/tokenizer.ts';
import { viewOf, windowsOf } from '../model/view.ts';
import { fixWeights, pagesOf, type Shelf, type Weights } from '../model/weights.ts';
import type { BlobRef, Example, Manifest, View } from '../nouns.ts';
import { elementMask } from '../numeric/element-mask.ts';
import { powerOfTwo } from '../numeric/fixed.ts';
import { wasmBytes, wasmKernels } from '../numeric/wasm/wasm.ts';
import { createBackward } from '../objective/backward.ts';
import { createForward, scratchLength } from '../objective/forward.ts';
import { createTangent } from '../objective/tangent.ts';
import { tangentScratch } from '../objective/tangent-feeds.ts';
import type { Crypto, Engine } from '../ports.ts';
import { classify } from './classify.ts';
import { exchangeReplica } from './exchange-replica.ts';
import { type Generation, generate } from './generate.ts';
import { inTurn, type LocalReplica, localReplica } from './local-replica.ts';
import { plansOf } from './plans.ts';
import type { Replica } from './replica.ts';

/** Where a replica finds and keeps things. */
export interface Machine {
  readonly crypto: Crypto;
  /** A file that the manifest names; undefined where it is not here. */
  file(blob: Pick<BlobRef, 'path' | 'sha256'>): Promise<ByteSource | undefined>;
  /** Room for weights. @param scratch floats to perturb a page in. @throws {Fault} TOO_LARGE */
  shelf(pages: readonly (readonly TensorSpec[])[], scratch: number, make: MakeKernels): Promise<Shelf>;
  /** Tokens of a text, perhaps made earlier. @param tokenizer all of its files. */
  tokens(tokenizer: string, text: Uint8Array, make: () => Int32Array): Promise<Int32Array>;
  /** The user's copy of the run's reward, where one was named. */
  reward(): Promise<Learner['reward']>;
  /** Random bytes. */
  readonly entropy: (bytes: number) => Uint8Array;
}

/** What is opened. */
export interface Opening {
  readonly manifest: Manifest;
  /** Held-out examples to evaluate on at most, from the first. */
  readonly maxEvalSamples?: number | undefined;
  /** Held-out data in place of the manifest's, for a judgement of one's own. */
  readonly evalData?: BlobRef | undefined;
}

/** How far apart two losses are measured, and with what. */
export type Measuring = Pick<Manifest, 'eps' | 'forward_precision'>;

/** What more the tools of one machine ask of a replica. */
export interface OpenedReplica extends Replica {
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

/** @throws {Fault} FILE_MISSING, MODEL_*, TOKENIZER_MISMATCH, DATA_INVALID, LABEL_WORD, CONFIG_INVALID, TOO_LARGE */
export async function openLearner(
  opening: Opening,
  machine: Machine,
  engine: Engine,
  makeData: MakeData = (tokenizer, positions, settings) => openData(opening, machine, tokenizer, positions, settings),
): Promise<Opened> {
  const { manifest } = opening;
  const { files } = manifest.base;
  const source = async (name: string): Promise<ByteSource> => {
    const found = await machine.file(files.find(({ path }) => path === name)!);
    if (found === undefined)
      throw new Fault('FILE_MISSING', `${name} of the base is not on this machine; name its folder with --model`);
    return found;
  };
  const { model, tokenizer, tokenizerText, read } = await openBase(
    new Set(files.map(({ path }) => path)),
    source,
    manifest,
  );
  const view = viewOf(model, manifest.view);
  const dataset = await makeData(tokenizer, model.positions, tokenizerText);
  checkPrivacy(manifest, dataset.train.length);
  const held = dataset.eval.slice(0, opening.maxEvalSamples);
  const plans = plansOf(manifest, model, dataset.train, held);
  const isForward = manifest.estimator === 'forward_gradient';
  const floats = Math.max(
    scratchLength(model, plans),
    isForward ? tangentScratch(model, manifest.direction, plans) : 0,
  );
  const shelf = await machine.shelf(pagesOf(model), floats, (lengths) => wasmKernels({ bytes: wasmBytes(lengths) }));
  const run = runWord(manifest, machine.crypto);
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
    reward: await machine.reward(),
    entropy: machine.entropy,
    writer: { forward, model, tokenizer },
    ...(isForward ? { tangent: createTangent(model, weights, engine) } : {}),
  };
  return { learner, model, tokenizer, held };
}

/** @throws {Fault} as `openLearner` */
export async function openReplica(
  opening: Opening,
  machine: Machine,
  engine: Engine,
): Promise<OpenedReplica & LocalReplica> {
  const { learner, model, tokenizer, held } = await openLearner(opening, machine, engine);
  const { manifest, weights } = learner;
  const { exchange } = manifest;
  const { crypto } = machine;
  const turn = inTurn();
  const replica = exchange
    ? exchangeReplica(learner, model, createBackward(model, weights, engine), exchange, held, crypto, turn)
    : localReplica(learner, held, crypto, turn);
  return {
    settleOne: async () => false,
    ...replica,
    slopes: (count, measuring = manifest) => turn(async () => [...(await calibrate(learner, count, measuring))]),
    generate: (prompts, options) => turn(() => generate(learner.forward, model, tokenizer, prompts, options)),
    classify: (columns) => turn(() => classify(learner, tokenizer, columns)),
    tensor: (name) => turn(() => materialised(weights, name)),
  };
}

/** The first word of the run id: what the noise is keyed with. */
function runWord(manifest: Manifest, { sha256 }: Crypto): number {
  const id = sha256(encodeManifest(manifest));
  return new DataView(id.buffer, id.byteOffset).getUint32(0, true);
}

const NO_DATA: Dataset = { train: [], eval: [], choices: new Int32Array(0), truncated: 0 };

/** Data is needed to measure and to judge, not to rebuild a model: without it, all the rest works. */
async function openData(
  { manifest, evalData = manifest.data.eval }: Opening,
  machine: Machine,
  tokenizer: Tokenizer,
  positions: number,
  tokenizerText: string,
): Promise<Dataset> {
  const data = evalData ? { ...manifest.data, eval: evalData } : manifest.data;
  const train = await machine.file(data.train);
  const held = data.eval && (await machine.file(data.eval));
  if (train === undefined || (data.eval && held === undefined)) return NO_DATA;
  const bytes = { train: await readAll(train), eval: held && (await readAll(held)) };
  const { kind } = manifest.task;
  const tokensOf = (name: string, text: Uint8Array): Promise<Int32Array> =>
    machine.tokens(tokenizerText, text, () => textTokens(tokenizer, textOf({ name, bytes: text })));
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

/** A file of a base, by its name there. */
export type OpenFile = (name: string) => Promise<ByteSource>;

/** The text of a file of a base. @throws {Fault} MODEL_INVALID where it has none */
async function baseText(name: string, names: ReadonlySet<string>, open: OpenFile): Promise<string> {
  if (!names.has(name)) throw new Fault('MODEL_INVALID', `the base of this run has no ${name}`);
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(await readAll(await open(name)));
}

const shards = async (names: readonly string[], open: OpenFile): Promise<Checkpoint> =>
  openCheckpoint(await Promise.all(names.map(open)));

/** The model that a base is of, by its configuration and the shapes of its tensors. @param names @param open as `openBase` */
export async function openModel(
  names: ReadonlySet<string>,
  open: OpenFile,
  view: View,
): Promise<Pick<Base, 'config' | 'model' | 'checkpoint'>> {
  const checkpoint = await shards([...names].filter(isShard), open);
  const config = readConfig(await baseText('config.json', names, open));
  return { config, checkpoint, model: modelOf(config, checkpoint.tensors, view) };
}

/**
 * A base, but for its weights: they are read when they are asked for.
 * @param names of its files. @param open one of them.
 */
export async function openBase(
  names: ReadonlySet<string>,
  open: OpenFile,
  { view, seed }: Pick<Manifest, 'view' | 'seed'>,
): Promise<Base> {
  const text = (name: string): Promise<string> => baseText(name, names, open);
  const { config, model, checkpoint } = await openModel(names, open, view);
  const given = model.adapter && names.has(ADAPTER_WEIGHTS);
  if (given) checkAdapterConfig(await text(ADAPTER_CONFIG), model.adapter.view);
  const read = firstWeights(model, seed, checkpoint, given ? await shards([ADAPTER_WEIGHTS], open) : undefined);
  const settings = names.has('tokenizer_config.json') ? await text('tokenizer_config.json') : '{}';
  const json = await text('tokenizer.json');
  const tokenizer = openTokenizer(json, settings, model);
  return { config, model, checkpoint, tokenizer, tokenizerText: json + settings, read };
}

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
