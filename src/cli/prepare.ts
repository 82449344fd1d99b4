/**
 * A configuration → the manifest of a run and the files it names: the model is found or fetched, everything is hashed,
 * the
 * byte scale is measured on the base, and so is whether the precision will do.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { NamedFile } from '../data/node/resolve.ts';
import { Fault } from '../faults.ts';
import { canonicalJson } from '../journal/canonical.ts';
import { cacheFolder, type ModelFiles, type ResolveOptions, resolveModel } from '../model/node/resolve.ts';
import type { BlobRef, Manifest, Task } from '../nouns.ts';
import { initialScale } from '../numeric/scale.ts';
import { blobRef, type Paths } from '../peer/node/blobs.ts';
import { openModel, type ReplicaSpec } from '../peer/node/open-replica.ts';
import { threadedReplica } from '../peer/node/replica-thread.ts';
import { nameless } from '../peer/same-run.ts';
import { adapterFiles } from './adapter.ts';
import { directionOf, optionalKeys, type RunConfig, recordsOf, viewFrom } from './config.ts';
import { type DataFiles, dataFilesOf, plainName } from './data.ts';
import { exchangeKeys } from './exchange.ts';
import type { Output } from './output.ts';
import { admitPrecision } from './precision.ts';
import { type Rated, type Rates, ratesOf, type Trained, trainedBy } from './rate.ts';
import { taskFor } from './task.ts';

/** Directions measured on the base to choose the first byte scale. */
const CALIBRATION_PROBES = 16;
/** Largest |code|: all of the byte. */
const CLIP = 127;

export interface Prepared {
  readonly manifest: Manifest;
  readonly paths: Paths;
}

/** A manifest with the rates that were decided for it. */
export interface Drafted extends Prepared {
  readonly rates: Rates;
}

/** Where files are cached on this machine. */
export const cacheOf = (env: Readonly<Record<string, string | undefined>>): string => cacheFolder(env, homedir());

/** Where the tokens of texts are. */
export const tokenCacheOf = (env: Parameters<typeof cacheOf>[0]): string => join(cacheOf(env), 'tokens');

/**
 * The manifest but for its byte scale, which is 1.
 * @param coordinator public key, hexadecimal.
 */
export async function draftManifest(
  config: RunConfig,
  coordinator: string,
  output: Output,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Drafted> {
  const paths: Record<string, string> = {};
  const add = async ({ path, name }: NamedFile): Promise<BlobRef> => {
    const blob = await blobRef(path, name);
    paths[blob.sha256] = path;
    return blob;
  };
  // The data before the model: a path that is wrong shows before gigabytes are fetched.
  const found = await dataFilesOf(config, resolving(config, output, env));
  const train = await add(found.train);
  const held = found.eval && (await add(found.eval));
  const reward =
    config.reward === undefined ? undefined : await add({ path: config.reward, name: plainName(config.reward) });
  const model = await modelFilesOf(config, output, env);
  const files: BlobRef[] = [];
  for (const [name, path] of [...model.files].sort(([a], [b]) => (a < b ? -1 : 1)))
    files.push(await add({ path, name }));
  const data = { train, ...(held ? { eval: held } : {}) };
  const task = taskFor(config.tasks, await fillsGaps(model));
  const rates = await ratesOf(config, () => trainedOf(config, model));
  const manifest = manifestOf({ ...config, ...rates }, coordinator, { name: model.name, files }, data, task, reward);
  for (const [name, path] of await adapterFiles(manifest, paths, config.adapter_folder, cacheOf(env)))
    files.push(await add({ path, name }));
  return { paths, manifest, rates };
}

/** What a run trains of the model that its files describe: no weights are read. @throws {Fault} MODEL_*, CONFIG_INVALID */
export async function trainedOf(config: RunConfig, { files }: Pick<ModelFiles, 'files'>): Promise<Trained> {
  const { model } = await openModel(new Set(files.keys()), (name) => files.get(name)!, viewFrom(config));
  return trainedBy(model, config);
}

/** The configuration with its learning rate, for comparisons that show or change it. @throws {Fault} as `draftManifest` */
export async function withRate(
  config: RunConfig,
  output: Output,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Rated> {
  const trained = async (): Promise<Trained> => trainedOf(config, await modelFilesOf(config, output, env));
  return { ...config, learning_rate: (await ratesOf(config, trained)).learning_rate };
}

const NETWORK: Pick<ResolveOptions, 'fetch' | 'sleep'> = {
  fetch: globalThis.fetch,
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** The files of the model and of the data that a configuration names, if they are on this machine. @throws {Fault} FILE_MISSING */
export async function cachedFiles(
  config: RunConfig,
  output: Output,
  env: Readonly<Record<string, string | undefined>>,
): Promise<{ readonly model: ModelFiles; readonly data: DataFiles }> {
  // The resolver falls back to its cache when nothing answers; not answering is what neither call does here.
  const refuse = async (): Promise<never> => {
    throw new Fault('DOWNLOAD_FAILED', `${config.model}: nothing is fetched to plan`);
  };
  const network = { fetch: refuse, sleep: refuse };
  const here = <T>(files: Promise<T>, what: string, remedy: string): Promise<T> =>
    files.catch((error) => {
      if (!(error instanceof Fault && error.code === 'DOWNLOAD_FAILED')) throw error;
      throw new Fault('FILE_MISSING', `${what} was not fetched yet; ${remedy}`, { cause: error });
    });
  return {
    data: await here(
      dataFilesOf(config, resolving(config, output, env, network)),
      `the data of ${config.data ?? config.tasks.name}`,
      'name files that are here',
    ),
    model: await here(modelFilesOf(config, output, env, network), config.model, 'name a folder that holds the model'),
  };
}

/** How files are looked for: in the cache, and on the Hub if they must be. */
export const resolving = (
  { hub_token }: { readonly hub_token?: string | undefined },
  output: Output,
  env: Readonly<Record<string, string | undefined>>,
  network: Pick<ResolveOptions, 'fetch' | 'sleep'> = NETWORK,
): ResolveOptions => ({
  cache: cacheOf(env),
  token: hub_token ?? env['HF_TOKEN'],
  ...network,
  progress: ({ file, bytes, total }) => output.progress({ task: `downloading ${file}`, done: bytes, total, unit: 'B' }),
});

/** The files of the model that a configuration names, fetched if they must be. */
const modelFilesOf = (
  config: RunConfig,
  output: Output,
  env: Readonly<Record<string, string | undefined>>,
  network: Pick<ResolveOptions, 'fetch' | 'sleep'> = NETWORK,
): Promise<ModelFiles> =>
  resolveModel(config.model, { ...resolving(config, output, env, network), revision: config.revision });

/** Whether a model fills gaps and does not go on, by the class that its config.json says transformers has for it. */
export async function fillsGaps({ files }: ModelFiles): Promise<boolean> {
  const path = files.get('config.json');
  const text = path === undefined ? '' : await readFile(path, 'utf8');
  return /"architectures"\s*:\s*\[\s*"\w+ForMaskedLM"/.test(text);
}

/** A manifest from its parts. Its byte scale is 1. */
export function manifestOf(
  config: Rated,
  coordinator: string,
  base: Manifest['base'],
  data: Pick<Manifest['data'], 'train' | 'eval'>,
  task: Task,
  reward?: BlobRef,
): Manifest {
  const { learning_rate, lr_scheduler_type, warmup_steps, max_steps, reduction, eps, seed, eval_fraction } = config;
  const { forward_precision } = config;
  return {
    format: 1,
    numbers: 1,
    base,
    view: viewFrom(config),
    method: 'onebyte',
    direction: directionOf(config),
    ...optionalKeys(config, reward),
    ...{ eps, learning_rate, lr_scheduler_type, warmup_steps, max_steps, reduction, seed },
    ...recordsOf(config),
    ...exchangeKeys(config),
    initial_scale: 1,
    clip: CLIP,
    task,
    data: { ...data, eval_fraction, ...sampleOf(config) },
    forward_precision,
    coordinator,
  };
}

const sampleOf = ({ shots, max_train_samples: first, seed }: RunConfig): Pick<Manifest['data'], 'sample'> =>
  shots !== undefined ? { sample: { per_class: shots, seed } } : first !== undefined ? { sample: { first, seed } } : {};

/** The manifest with a byte scale measured on the base. @throws {Fault} PRECISION_LOW */
export async function calibrated(
  { manifest, paths }: Prepared,
  machine: Pick<ReplicaSpec, 'threads' | 'offloadFolder'>,
): Promise<Manifest> {
  if (manifest.exchange) return manifest; // it has no bytes
  const replica = await threadedReplica({ manifest, paths, ...machine, maxEvalSamples: 1 });
  try {
    // One sample more that is right, of those that a record is the mean of, is the least that an objective tells apart.
    const least = manifest.objective && 1 / (2 * manifest.eps * manifest.samples_per_record);
    const scale = initialScale(await replica.slopes(CALIBRATION_PROBES), least);
    await admitPrecision(manifest, replica.slopes);
    return { ...manifest, initial_scale: scale };
  } finally {
    await replica.close();
  }
}

/** Without what two starts of the same run may differ in. */
const decided = ({ initial_scale: _, ...rest }: Manifest): Readonly<Record<string, unknown>> => ({ ...nameless(rest) });

/** @throws {Fault} OUTPUT_EXISTS naming the first key in which the folder's run differs */
export function checkSameRun(folder: string, begun: Manifest, wanted: Manifest): void {
  const [ours, theirs] = [decided(begun), decided(wanted)];
  const either = Object.keys({ ...ours, ...theirs }); // a key may be absent from one of them
  const differs = either.find((key) => canonicalJson(ours[key] ?? null) !== canonicalJson(theirs[key] ?? null));
  if (differs === undefined) return;
  throw new Fault(
    'OUTPUT_EXISTS',
    `${folder} holds a run with another ${differs}; name another output_dir, or repeat its settings to go on`,
  );
}
