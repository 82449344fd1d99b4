/**
 * A model by name → its files on this machine: a folder in Hugging Face layout, or a Hub id, fetched once into a cache.
 *
 *     {cache}/hub/{owner}--{name}/{commit}/…          complete, verified files
 *     {cache}/hub/{owner}--{name}/refs/{revision}     what the revision last was: {commit, files}
 *     {cache}/hub/datasets--{owner}--{name}/…         data sets in the same way (data/node/resolve.ts)
 *     {cache}/tokenizers/{sha256}.json                tokenizers made of vocab.json and merges.txt
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { Fault } from '../../faults.ts';
import { byteLevelTokenizer } from '../bpe.ts';
import { INDEX_FILE } from '../checkpoint.ts';
import { MERGES, modelFiles, TOKENIZER, TOKENIZER_CONFIG, VOCAB } from '../files.ts';
import { isHubId, listModel, type RemoteModel } from '../hub.ts';
import { type DownloadAccess, downloadFile, retried } from './download.ts';

/** Bytes of all files together. */
export interface Progress {
  readonly file: string;
  readonly bytes: number;
  readonly total: number;
}

export interface ResolveOptions extends DownloadAccess {
  /** Folder of the cache. */
  readonly cache: string;
  /** Branch, tag or commit of a Hub model. */
  readonly revision?: string | undefined;
  readonly progress?: ((progress: Progress) => void) | undefined;
}

export interface ModelFiles {
  /** The Hub id, or the name of the folder. */
  readonly name: string;
  /** null for a folder. */
  readonly commit: string | null;
  /** Path inside the model → path on this machine. `tokenizer.json` is always among them. */
  readonly files: ReadonlyMap<string, string>;
}

/** `$XDG_CACHE_HOME/murmur`, or `~/.cache/murmur`. */
export const cacheFolder = (env: Readonly<Record<string, string | undefined>>, home: string): string =>
  join(env['XDG_CACHE_HOME'] || join(home, '.cache'), 'murmur');

/** @throws {Fault} FILE_MISSING, MODEL_INVALID, MODEL_UNSUPPORTED, HUB_REFUSED, DOWNLOAD_FAILED, INTERRUPTED */
export async function resolveModel(model: string, options: ResolveOptions): Promise<ModelFiles> {
  const folder = await stat(model).catch(() => undefined);
  if (folder && !folder.isDirectory())
    throw new Fault('FILE_MISSING', `${model} is a file; name the folder that holds the model`);
  if (!folder && !isHubId(model))
    throw new Fault('FILE_MISSING', `${model} is neither a folder here nor a Hub id (owner/name); check the name`);
  const found = folder ? await localModel(model) : await hubModel(model, options);
  return { ...found, files: await withTokenizer(found.files, options.cache) };
}

async function localModel(folder: string): Promise<ModelFiles> {
  const names = new Set(await readdir(folder));
  const paths = await modelFiles(names, () => readFile(join(folder, INDEX_FILE), 'utf8'), folder);
  const root = resolve(folder);
  return { name: basename(root), commit: null, files: new Map(paths.map((path) => [path, join(root, path)])) };
}

interface Ref {
  readonly commit: string;
  readonly files: readonly string[];
}

async function hubModel(id: string, options: ResolveOptions): Promise<ModelFiles> {
  const { cache, revision = 'main' } = options;
  const home = resolve(cache, 'hub', id.replace('/', '--'));
  const list = () => listModel(id, revision, options);
  return { name: id, ...(await fetchInto(home, { id, revision, list }, options)) };
}

/** What is fetched of a repository. */
export interface Wanted {
  /** For messages. */
  readonly id: string;
  /** Names what `list` gives, in the cache. A commit is what it was: then nobody is asked. */
  readonly revision: string;
  readonly list: () => Promise<RemoteModel>;
}

/**
 * The files of a repository that are wanted, fetched into `home` unless they are there.
 * @returns the commit, and path inside the repository → path on this machine.
 * @throws {Fault} HUB_REFUSED, DOWNLOAD_FAILED, INTERRUPTED
 */
export async function fetchInto(
  home: string,
  { id, revision, list }: Wanted,
  options: ResolveOptions,
): Promise<{ readonly commit: string; readonly files: ReadonlyMap<string, string> }> {
  const { progress } = options;
  const refPath = join(home, 'refs', encodeURIComponent(revision));
  const cached = await readRef(refPath, home);
  const at = ({ commit, files }: Ref) => ({
    commit,
    files: new Map(files.map((path) => [path, join(home, commit, path)])),
  });
  if (cached?.commit === revision) return at(cached);

  const listed = await retried(options, list).catch((error) => {
    if (cached && error instanceof Fault && error.code === 'DOWNLOAD_FAILED') return null; // offline
    throw error;
  });
  if (!listed) return at(cached!);

  const total = listed.files.reduce((sum, { bytes }) => sum + bytes, 0);
  let before = 0;
  for (const file of listed.files) {
    await downloadFile(id, file, join(home, listed.commit, file.path), options, (bytes) =>
      progress?.({ file: file.path, bytes: before + bytes, total }),
    );
    before += file.bytes;
  }
  const ref: Ref = { commit: listed.commit, files: listed.files.map(({ path }) => path) };
  await writeWhole(refPath, JSON.stringify(ref));
  return at(ref);
}

/** What a revision was when last fetched whole, if all of it is still there. */
async function readRef(path: string, home: string): Promise<Ref | undefined> {
  const ref = await readFile(path, 'utf8')
    .then((text) => JSON.parse(text) as Ref)
    .catch(() => undefined);
  if (!ref) return undefined;
  for (const file of ref.files)
    if (!(await stat(join(home, ref.commit, file)).catch(() => undefined))) return undefined;
  return ref;
}

/** Written beside its place and renamed, so that nobody reads half of it. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.${process.pid}.part`;
  await writeFile(part, text);
  await rename(part, path);
}

/** Models that come with vocab.json and merges.txt get the tokenizer.json that these make. */
async function withTokenizer(files: ReadonlyMap<string, string>, cache: string): Promise<ReadonlyMap<string, string>> {
  const [vocab, merges, config] = [VOCAB, MERGES, TOKENIZER_CONFIG].map((name) => files.get(name));
  if (files.has(TOKENIZER) || !vocab || !merges) return files;
  const json = byteLevelTokenizer(
    await readFile(vocab, 'utf8'),
    await readFile(merges, 'utf8'),
    config ? await readFile(config, 'utf8') : '{}',
  );
  const path = resolve(cache, 'tokenizers', `${createHash('sha256').update(json).digest('hex')}.json`);
  await writeWhole(path, json);
  const kept = [...files].filter(([name]) => name !== VOCAB && name !== MERGES);
  return new Map([...kept, [TOKENIZER, path]]);
}
