/**
 * A model judged as it is, without a run: zero-shot, or with demonstrations in its prompts.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { withDemonstrations } from '../data/demonstrations.ts';
import { hubSplitName, parseHubSplit } from '../data/hub.ts';
import { readRows } from '../data/rows.ts';
import { firstDrawn } from '../data/split.ts';
import { taskRows } from '../data/tasks/tasks.ts';
import { Fault } from '../faults.ts';
import type { Task } from '../nouns.ts';
import { threadedReplica } from '../peer/node/replica-thread.ts';
import { loadConfig, type RunConfig } from './config.ts';
import { dataFile } from './data.ts';
import { draftManifest, resolving } from './prepare.ts';
import type { Io } from './verb.ts';

export interface Judged {
  readonly model: string;
  readonly task?: string | undefined;
  /** Data to judge on. */
  readonly on?: string | undefined;
  /** Data that demonstrations are taken from. */
  readonly data?: string | undefined;
  readonly shots_in_context: number;
  readonly seed: number;
  readonly max_eval_samples?: number | undefined;
  readonly threads?: number | undefined;
  readonly offload_folder?: string | undefined;
}

/** Nobody signs what is no run. */
const NOBODY = '0'.repeat(64);

const withSplit = (data: string, split: string): string => {
  const hub = parseHubSplit(data, split);
  return hub ? hubSplitName(hub) : data;
};

/** @throws {Fault} as preparing a run does */
export async function evalModel(judged: Judged, { output, env }: Io): Promise<Readonly<Record<string, unknown>>> {
  const { model, task, shots_in_context: shots, seed, threads = availableParallelism() } = judged;
  const named = { model, ...(task === undefined ? {} : { task }) };
  // Any data will do to find out what the task is.
  const { tasks } = loadConfig(undefined, { ...named, data: judged.on ?? '' }, env).config;
  const on = judged.on ?? (tasks.hub && `hub:${tasks.hub.id}/${tasks.hub.config}:${tasks.hub.eval}`);
  if (on === undefined) throw new Fault('CONFIG_INVALID', 'eval: needs data to judge on; give --on');
  const data = withSplit(on, tasks.hub?.eval ?? 'validation');
  const text = tasks.causal.kind === 'lm' || tasks.causal.kind === 'masked_lm';
  // Nothing is learnt: of what would be, one row is enough.
  const least = text ? {} : { max_train_samples: 1 };
  const { config } = loadConfig(undefined, { ...named, data, eval_data: data, seed, ...least }, env);
  const { manifest, paths } = await draftManifest(config, NOBODY, output, env);
  const asked = shots === 0 ? manifest.task : await demonstrated(config, manifest.task, judged, { output, env });
  const replica = await threadedReplica({
    manifest: { ...manifest, task: asked },
    paths,
    threads,
    offloadFolder: judged.offload_folder,
    maxEvalSamples: judged.max_eval_samples,
  });
  try {
    return { task: tasks.name, shots_in_context: shots, ...(await replica.evaluate()) };
  } finally {
    await replica.close();
  }
}

async function demonstrated(config: RunConfig, task: Task, judged: Judged, { output, env }: Io): Promise<Task> {
  const { shots_in_context: shots, seed } = judged;
  if (task.kind === 'lm' || task.kind === 'masked_lm')
    throw new Fault('CONFIG_INVALID', '--shots_in_context: is for tasks whose samples are rows; name one with --task');
  const { hub } = config.tasks;
  const from = judged.data ?? (hub && `hub:${hub.id}/${hub.config}:${hub.train}`);
  if (from === undefined) throw new Fault('CONFIG_INVALID', '--data is missing; name the rows to show in prompts');
  const { path, name } = await dataFile(from, 'train', resolving(config, output, env));
  const bytes = await readFile(path).catch((cause) => {
    throw new Fault('FILE_MISSING', `${path} cannot be read; check the path of --data`, { cause });
  });
  const rows = taskRows(task.rows, readRows({ name, bytes }), name);
  return withDemonstrations(task, firstDrawn(rows, name, { first: shots, seed }, 'shots_in_context'), name);
}
