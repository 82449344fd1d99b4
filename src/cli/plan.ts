/**
 * `murmur plan`: the memory and the time that a run takes on this machine, before any weights are read.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { buildDataset } from '../data/dataset.ts';
import type { NamedFile } from '../data/node/resolve.ts';
import { nodeEngine } from '../engine/node.ts';
import { Fault } from '../faults.ts';
import { size } from '../graph/shape.ts';
import type { BlobRef } from '../nouns.ts';
import type { Footprint } from '../peer/memory.ts';
import { fileRefusal } from '../peer/node/file-refusal.ts';
import { checkOffload, openBase } from '../peer/node/open-replica.ts';
import { isAlone, settingsOf } from './alone.ts';
import type { Argv } from './args.ts';
import { type RunConfig, viewFrom } from './config.ts';
import { isExchange } from './exchange.ts';
import { formatBytes, formatSeconds } from './format.ts';
import { runFile } from './keys.ts';
import { ofGradient, ofRounds } from './outlook.ts';
import { cachedFiles, fillsGaps, manifestOf } from './prepare.ts';
import { ratesOf, trainedBy } from './rate.ts';
import { taskFor } from './task.ts';
import { configOf, threadsOf } from './train.ts';
import type { Io } from './verb.ts';

export const usage: string = `plan [run.yaml] [flags]

Says what a run will take on this machine: memory of each process, seconds of a round, bytes on the wire; and what to
change if it does not fit. Takes what train takes. Weights are not read, only what their files hold.
  murmur plan run.yaml
  murmur plan --model my-model --data corpus.txt --block_size 128 --peers 2
  murmur plan run.yaml --method backprop`;

export const flags: typeof runFile = runFile;

/**
 * A thread of its own for the replica, sockets, and what the collector has not collected yet: what `npm run bench:plan`
 * found beyond the rest, on quill and on a model of the shape of OPT-125M alike.
 */
const PROCESS = 60e6;

const unread = ({ name }: NamedFile): BlobRef => ({ path: name, bytes: 0, sha256: '' });

/** @throws {Fault} FILE_MISSING, FILE_REFUSED */
const read = (path: string): Promise<Uint8Array> =>
  readFile(path).catch((cause) => {
    throw fileRefusal(cause) ?? new Fault('FILE_MISSING', `${path} is not there; check the path`, { cause });
  });

/** A run, and where it is to fit. Bytes. */
export interface Tight {
  readonly config: RunConfig;
  readonly peer: Footprint;
  readonly host: number;
  readonly free: number;
  readonly total: number;
  /** With blocks on disk. */
  readonly offloaded: number;
}

/** What to change, and where it helps. */
const ADVICE: readonly ((tight: Tight) => string | undefined)[] = [
  ({ config, peer, host, free }) => {
    const fitting = Math.floor((free - host) / peer.peak);
    if (isAlone(config) || fitting < 1) return undefined;
    return `peers: ${fitting} fit${fitting === 1 ? 's' : ''} into ${formatBytes(free)}`;
  },
  ({ config, total, offloaded }) =>
    config.offload_folder === undefined && config.optimizer !== 'adam'
      ? `offload_folder: blocks on disk make it ${formatBytes(offloaded)} in place of ${formatBytes(total)}`
      : undefined,
  ({ config }) =>
    !isAlone(config) && config.direction !== 'lowrank' && config.sparse === 'none'
      ? 'direction: lowrank needs one copy of a block at a time, not two'
      : undefined,
  ({ config }) =>
    config.optimizer === 'adam'
      ? 'optimizer: scalar_adam keeps one number where adam keeps 16 bytes a weight'
      : undefined,
  ({ config }) =>
    config.estimator === 'forward_gradient' ? 'estimator: spsa needs no tangents beside activations' : undefined,
  ({ config, peer }) =>
    isAlone(config)
      ? `method: onebyte keeps none of the ${formatBytes(peer.moments + peer.step)} of moments and gradients`
      : undefined,
  ({ config }) =>
    isAlone(config) && config.optim === 'adamw' ? 'optim: sgd keeps one moment of a weight, not two' : undefined,
  ({ config, peer }) =>
    isAlone(config) && config.adapter === 'none' && peer.moments > peer.peak / 4
      ? 'adapter: lora has few weights, hence few moments; so has last_blocks'
      : undefined,
  ({ config, peer }) =>
    isAlone(config) && config.per_device_train_batch_size > 1 && peer.activations > peer.peak / 4
      ? 'per_device_train_batch_size: half of it, with gradient_accumulation_steps twice, halves activations'
      : undefined,
  ({ peer }) =>
    peer.activations + peer.runtime > peer.peak / 4
      ? 'block_size: half of it halves activations and what the programs hold'
      : undefined,
];

/** What to change of a run that does not fit; nothing of one that does. */
export const adviceFor = (tight: Tight): readonly string[] =>
  tight.total > tight.free ? ADVICE.flatMap((of) => of(tight) ?? []) : [];

export async function run(argv: Argv, { output, env }: Io): Promise<Readonly<Record<string, unknown>>> {
  const config = await configOf('plan', argv, env);
  if (isExchange(config))
    throw new Fault(
      'CONFIG_INVALID',
      `plan: does not foresee method ${config.method} yet; plan backprop, whose steps a peer takes, and add 8 bytes a weight`,
    );
  const alone = isAlone(config);
  const { model: base, data: files } = await cachedFiles(config, output, env);
  const bytes = { train: await read(files.train.path), eval: files.eval && (await read(files.eval.path)) };
  const data = { train: unread(files.train), ...(files.eval ? { eval: unread(files.eval) } : {}) };
  const task = taskFor(config.tasks, await fillsGaps(base));
  const opened = await openBase(new Set(base.files.keys()), (name) => base.files.get(name)!, {
    ...config,
    view: viewFrom(config),
  });
  const { model } = opened;
  const rates = await ratesOf(config, async () => trainedBy(model, config));
  const reward = config.reward === undefined ? undefined : { path: config.reward, bytes: 0, sha256: '' };
  const named = { name: base.name, files: [] };
  const manifest = manifestOf({ ...config, ...rates }, '', named, data, task, reward);
  checkOffload(manifest, config.offload_folder);
  const dataset = buildDataset(manifest.task, manifest.data, bytes, opened.tokenizer, model.positions, manifest.seed);
  const ahead = {
    manifest,
    config: opened.config,
    model,
    dataset,
    held: dataset.eval.slice(0, config.max_eval_samples),
  };
  const outlook = alone
    ? ofGradient(ahead, settingsOf(config, rates.zo_learning_rate))
    : ofRounds(ahead, Math.max(config.peers, config.min_peers));

  const resident = process.memoryUsage.rss() + PROCESS;
  const hostOn = (offloaded: boolean): number => outlook.host?.(resident, offloaded).peak ?? 0;
  const peers = alone ? 1 : config.peers;
  const totalOn = (offloaded: boolean): number => peers * outlook.peer(resident, offloaded).peak + hostOn(offloaded);
  const offloaded = config.offload_folder !== undefined;
  const peer = outlook.peer(resident, offloaded);
  const { peak, ...parts } = peer;
  const [total, host] = [totalOn(offloaded), hostOn(offloaded)];
  const free = process.availableMemory();
  const advice = adviceFor({ config, peer, host, free, total, offloaded: totalOn(true) });

  const threads = threadsOf(config);
  const time = await outlook.time(nodeEngine({ threads }), () => performance.now());
  const seconds = time.measure + time.apply;
  const [what, step] = alone ? ['a training', 'steps'] : ['a peer', 'rounds'];
  if (!output.json) {
    output.table(`Memory of ${what}`, [
      ['what', 'bytes'],
      ...Object.entries({ ...parts, peak }).flatMap(([name, n]) => (n > 0 ? [[name, formatBytes(n)]] : [])),
    ]);
    for (const line of advice) output.note(`does not fit; ${line}`);
    for (const line of outlook.notes) output.note(line);
    output.note(
      `about ${formatSeconds(seconds * config.max_steps)} for ${config.max_steps} ${step}, evaluations aside`,
    );
  }
  return {
    weights: model.tensors.reduce((sum, { shape }) => sum + size(shape), 0),
    learning_rate: rates.learning_rate,
    ...Object.fromEntries(Object.entries(parts).map(([name, n]) => [`bytes/${name}`, n])),
    'bytes/peer': peak,
    ...(alone ? {} : { 'bytes/host': host }),
    'bytes/machine': total,
    'bytes/free': free,
    fits: total <= free,
    advice,
    notes: outlook.notes,
    threads,
    'seconds/measure': time.measure,
    'seconds/apply': time.apply,
    'seconds/round': seconds,
    ...(alone ? {} : { 'records/second': manifest.records_per_round / seconds }),
    rounds: config.max_steps,
    'seconds/run': seconds * config.max_steps,
    ...outlook.wire,
  };
}
