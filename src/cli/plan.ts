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
import { type Footprint, footprint } from '../peer/memory.ts';
import { batchesOf, stepTime } from '../peer/node/estimate.ts';
import { fileRefusal } from '../peer/node/file-refusal.ts';
import { openBase, plansOf } from '../peer/node/open-replica.ts';
import { roundBytes } from '../peer/traffic.ts';
import { isAlone } from './alone.ts';
import type { Argv } from './args.ts';
import { viewFrom } from './config.ts';
import { formatBytes, formatSeconds } from './format.ts';
import { runFile } from './keys.ts';
import { cachedFiles, fillsGaps, manifestOf } from './prepare.ts';
import { ratesOf, trainedBy } from './rate.ts';
import { taskFor } from './task.ts';
import { configOf, threadsOf } from './train.ts';
import type { Io } from './verb.ts';

export const usage: string = `plan [run.yaml] [flags]

Says what a run will take on this machine: memory of each process, seconds of a round, bytes on the wire; and what to
change if it does not fit. Takes what train takes. Weights are not read, only what their files hold.
  murmur plan run.yaml
  murmur plan --model my-model --data corpus.txt --block_size 128 --peers 2`;

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

export async function run(argv: Argv, { output, env }: Io): Promise<Readonly<Record<string, unknown>>> {
  const config = await configOf('plan', argv, env);
  if (isAlone(config))
    throw new Fault('CONFIG_INVALID', `method: ${config.method} is not planned for; plan is of rounds of bytes`);
  const { model: base, data: files } = await cachedFiles(config, output, env);
  const bytes = { train: await read(files.train.path), eval: files.eval && (await read(files.eval.path)) };
  const data = { train: unread(files.train), ...(files.eval ? { eval: unread(files.eval) } : {}) };
  const task = taskFor(config.tasks, await fillsGaps(base));
  const view = viewFrom(config);
  const opened = await openBase(new Set(base.files.keys()), (name) => base.files.get(name)!, { ...config, view });
  const { model } = opened;
  const rates = await ratesOf(config, async () => trainedBy(model, config));
  const manifest = manifestOf({ ...config, ...rates }, '', { name: base.name, files: [] }, data, task);
  const dataset = buildDataset(manifest.task, manifest.data, bytes, opened.tokenizer, model.positions);
  const held = dataset.eval.slice(0, config.max_eval_samples);

  const company = Math.max(config.peers, config.min_peers);
  const records = Math.ceil(manifest.records_per_round / company);
  const step = { manifest, model, records, train: dataset.train };
  const plans = plansOf(manifest, model, dataset.train, []).filter(({ head }) => head.kind !== 'logits');
  const judging = plansOf(manifest, model, [], held).filter(({ head }) => head.kind !== 'logits');
  const resident = process.memoryUsage.rss() + PROCESS;
  const peerOn = (offloaded: boolean): Footprint =>
    footprint(model, { plans, batches: batchesOf(step) }, resident, offloaded);
  const hostOn = (offloaded: boolean): Footprint =>
    footprint(model, { plans: judging, batches: held.length }, resident, offloaded);
  const totalOn = (offloaded: boolean): number => config.peers * peerOn(offloaded).peak + hostOn(offloaded).peak;

  const offloaded = config.offload_folder !== undefined;
  const { peak, ...parts } = peerOn(offloaded);
  const total = totalOn(offloaded);
  const free = process.availableMemory();
  const advice: string[] = [];
  if (total > free) {
    const others = free - hostOn(offloaded).peak;
    const fitting = Math.floor(others / peak);
    if (fitting >= 1) advice.push(`peers: ${fitting} fit${fitting === 1 ? 's' : ''} into ${formatBytes(free)}`);
    if (!offloaded)
      advice.push(
        `offload_folder: blocks on disk make it ${formatBytes(totalOn(true))} in place of ${formatBytes(total)}`,
      );
    if (config.direction !== 'lowrank') advice.push('direction: lowrank needs one copy of a block at a time, not two');
    if (parts.activations + parts.runtime > peak / 4)
      advice.push('block_size: half of it halves activations and what the programs hold');
  }

  const threads = threadsOf(config);
  const time = await stepTime(
    { ...step, config: opened.config, choices: dataset.choices, plans },
    nodeEngine({ threads }),
    () => performance.now(),
  );
  const seconds = time.measure + time.apply;
  const wire = roundBytes(manifest, company);
  if (!output.json) {
    output.table('Memory of a peer', [
      ['what', 'bytes'],
      ...Object.entries({ ...parts, peak }).map(([name, n]) => [name, formatBytes(n)]),
    ]);
    for (const line of advice) output.note(`does not fit; ${line}`);
    output.note(`about ${formatSeconds(seconds * config.max_steps)} for ${config.max_steps} rounds, evaluations aside`);
  }
  return {
    weights: model.tensors.reduce((sum, { shape }) => sum + size(shape), 0),
    ...Object.fromEntries(Object.entries(parts).map(([name, n]) => [`bytes/${name}`, n])),
    'bytes/peer': peak,
    'bytes/host': hostOn(offloaded).peak,
    'bytes/machine': total,
    'bytes/free': free,
    fits: total <= free,
    advice,
    threads,
    'seconds/measure': time.measure,
    'seconds/apply': time.apply,
    'seconds/round': seconds,
    'records/second': manifest.records_per_round / seconds,
    rounds: config.max_steps,
    'seconds/run': seconds * config.max_steps,
    ...wire,
  };
}
