/**
 * `murmur export`: the trained model as a folder that Hugging Face transformers loads.
 *
 * @module
 */
import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { Fault } from '../faults.ts';
import type { AdapterView } from '../model/adapter.ts';
import { type Checkpoint, openCheckpoint } from '../model/checkpoint.ts';
import { readConfig } from '../model/config.ts';
import { exportFiles, trained, untrained } from '../model/export.ts';
import { modelOf } from '../model/model.ts';
import { fileSource } from '../model/node/files.ts';
import { writeFolder } from '../model/node/write-folder.ts';
import { isShard, loraBeside, merged, peftFiles } from '../model/peft.ts';
import type { Model } from '../model/stage.ts';
import { viewOf } from '../model/view.ts';
import type { BlobRef } from '../nouns.ts';
import type { NodeReplica } from '../peer/node/open-replica.ts';
import { openRun, type RunFolder } from '../peer/node/run-folder.ts';
import { type Argv, flagsOf } from './args.ts';
import { oneRun, pastFlags, rebuild, roundsWanted } from './past.ts';
import type { Io } from './verb.ts';

export const usage: string = `export <output_dir> --output_dir FOLDER [flags]

Rebuilds the weights of a run and writes them as a folder of its own: config.json, model.safetensors in float32 with the
names of the Hub, and the tokenizer. transformers and others load it as it is. A run with an adapter gives a folder that
PEFT loads beside the base: adapter_config.json and adapter_model.safetensors; or, of LoRA, a whole model with --merge.
  murmur export out --output_dir model
  murmur export out --output_dir model --merge`;

const own = z.strictObject({
  ...pastFlags,
  output_dir: z.string().min(1).describe('Folder to write; it must not exist.'),
  rounds: z.int().min(0).optional().describe('Weights after so many rounds; 0 is the base. Default: all.'),
  merge: z.boolean().optional().describe('Adds a LoRA to the weights of its base, and writes these.'),
});
export const flags: z.ZodObject = own;

/** Files of a base that are not made anew. */
const COPIED = /^(tokenizer.*|generation_config|special_tokens_map)\.json$/;

/** A run whose weights are to be written: what it is of, and where the files of that lie. */
export type Trained = Pick<RunFolder, 'manifest' | 'paths'>;

/** The base of a run, its weights unread. The files must be on this machine: see `requireBase`. */
export async function openBase({
  manifest,
  paths,
}: Trained): Promise<{ config: string; model: Model; checkpoint: Checkpoint }> {
  const pathOf = ({ sha256 }: BlobRef): string => paths[sha256]!;
  const { files } = manifest.base;
  const shards = files.filter(({ path }) => isShard(path));
  const checkpoint = await openCheckpoint(await Promise.all(shards.map((file) => fileSource(pathOf(file)))));
  const config = await readFile(pathOf(files.find(({ path }) => path === 'config.json')!), 'utf8');
  return { config, model: modelOf(readConfig(config), checkpoint.tensors, manifest.view), checkpoint };
}

/** Before the work of a replay. @throws {Fault} OUTPUT_EXISTS */
export async function requireNew(folder: string): Promise<void> {
  if (await stat(folder).catch(() => undefined))
    throw new Fault('OUTPUT_EXISTS', `${folder} exists; name a folder that does not`);
}

/**
 * Writes the replica's weights to `folder`, whole or not at all: a model, or of a run with an adapter that alone.
 * @param merge makes a model of base and LoRA. @throws {Fault} OUTPUT_EXISTS
 */
export async function exportModel(
  run: Trained,
  replica: Pick<NodeReplica, 'tensor'>,
  folder: string,
  merge = false,
): Promise<void> {
  const { config, model, checkpoint } = await openBase(run);
  const { adapter } = model;
  if (adapter && !merge) {
    const files = peftFiles({ ...model, adapter }, readConfig(config), run.manifest.base.name, (name) =>
      replica.tensor(name),
    );
    return writeFolder(folder, files);
  }
  const copied = new Map<string, Uint8Array>();
  for (const { path, sha256 } of run.manifest.base.files)
    if (COPIED.test(path)) copied.set(path, await readFile(run.paths[sha256]!));
  const view = new Set(viewOf(model, run.manifest.view));
  const added = new Set(adapter?.tensors);
  const mergedAt = async (name: string): Promise<Float32Array> => {
    const [a, b] = loraBeside(name);
    const { lora } = adapter!.view as Extract<AdapterView, { readonly lora: unknown }>;
    return merged(await checkpoint.read(name), await replica.tensor(a), await replica.tensor(b), lora);
  };
  const stored = model.tensors
    .filter(({ name }) => !added.has(name))
    .map((tensor) => {
      if (added.has(loraBeside(tensor.name)[0])) return trained(tensor, mergedAt);
      return view.has(tensor.id)
        ? trained(tensor, (name) => replica.tensor(name))
        : untrained(checkpoint.tensors.get(tensor.name)!, () => checkpoint.readBytes(tensor.name));
    });
  await writeFolder(folder, exportFiles(config, copied, stored));
}

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  const given = flagsOf(own, argv);
  const past = await openRun(oneRun('export', argv), given);
  await requireNew(given.output_dir);
  if (given.merge && !(typeof past.manifest.view === 'object' && 'lora' in past.manifest.view))
    throw new Fault('CONFIG_INVALID', '--merge: is for runs with adapter lora; leave it out');
  const until = roundsWanted(past, given.rounds);
  const replica = await rebuild(past, given, output, { until });
  try {
    await exportModel(past, replica, given.output_dir, given.merge);
    return { path: given.output_dir, rounds: until };
  } finally {
    await replica.close();
  }
}
