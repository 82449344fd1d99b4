/**
 * The files of an adapter that a base comes with: those of a folder in PEFT's layout, or a prefix of real keys and
 * values. These are floats of this machine: they are computed once, kept under what they follow from, and named by hash
 * in the manifest, so that every replica starts from the same.
 *
 * @module
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeEngine } from '../engine/node.ts';
import { Fault } from '../faults.ts';
import { canonicalJson } from '../journal/canonical.ts';
import { adapterOf, PREFIX_KEY, PREFIX_VALUE } from '../model/adapter.ts';
import { capturing } from '../model/model.ts';
import { writeFolder } from '../model/node/write-folder.ts';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, peftFiles } from '../model/peft.ts';
import { keysAndValues } from '../model/prefix.ts';
import type { Manifest } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import { firstTokens } from '../numeric/first.ts';
import { toUtf8 } from '../numeric/text.ts';
import type { Paths } from '../peer/node/blobs.ts';
import { nodeCrypto } from '../peer/node/crypto.ts';
import { openBase } from '../peer/node/open-replica.ts';

const FILES = [ADAPTER_CONFIG, ADAPTER_WEIGHTS];

/**
 * @param manifest of a run, its base without an adapter. @param folder that the user named. @param cache of this machine.
 * @returns name → path; empty where the first weights follow from the seed.
 * @throws {Fault} FILE_MISSING, MODEL_*, CONFIG_INVALID
 */
export async function adapterFiles(
  manifest: Pick<Manifest, 'base' | 'view' | 'seed'>,
  paths: Paths,
  folder: string | undefined,
  cache: string,
): Promise<ReadonlyMap<string, string>> {
  const view = adapterOf(manifest.view);
  if (!view || (folder === undefined && !('prefix' in view))) return new Map();
  const home = folder ?? (await prefixFolder(manifest, paths, cache));
  for (const name of FILES)
    if (!(await stat(join(home, name)).catch(() => undefined)))
      throw new Fault('FILE_MISSING', `${home} holds no ${name}; name a folder that PEFT saved, with safetensors`);
  return new Map(FILES.map((name) => [name, join(home, name)]));
}

async function prefixFolder(
  { base, view, seed }: Pick<Manifest, 'base' | 'view' | 'seed'>,
  paths: Paths,
  cache: string,
): Promise<string> {
  const hashes = base.files.map(({ sha256 }) => sha256);
  const key = toHex(nodeCrypto.sha256(toUtf8(canonicalJson({ hashes, view, seed }))));
  const folder = join(cache, 'adapters', key);
  if (await stat(folder).catch(() => undefined)) return folder;
  const files = new Map(base.files.map(({ path, sha256 }) => [path, paths[sha256]!]));
  const { config, model, checkpoint } = await openBase(new Set(files.keys()), (name) => files.get(name)!, {
    view,
    seed,
  });
  const adapter = model.adapter!;
  const tokens = firstTokens(seed, model.vocabulary, 'prefix' in adapter.view ? adapter.view.prefix.tokens : 0);
  const source = capturing(config, checkpoint.tensors);
  // One thread: the bits of a result may depend on their number.
  const all = await keysAndValues(source, model.hidden, checkpoint.read, nodeEngine({ threads: 1 }), tokens);
  const first = new Map<string, Float32Array>();
  for (const [i, { bindings }] of model.blocks.entries())
    for (const { input, tensor } of bindings) {
      if (input.endsWith(PREFIX_KEY)) first.set(tensor, all[i]!.keys);
      if (input.endsWith(PREFIX_VALUE)) first.set(tensor, all[i]!.values);
    }
  await writeFolder(
    folder,
    peftFiles({ ...model, adapter }, config, base.name, async (name) => first.get(name)!),
  ).catch(async (error) => {
    // Another run may have made the same meanwhile: it is named by what it was made of.
    if (!(await stat(folder).catch(() => undefined))) throw error;
  });
  return folder;
}
