/**
 * A split of a data set of the Hub → one file on this machine, fetched once into the cache of models. What the Hub cut
 * into several Parquet files is joined as JSONL, beside them.
 *
 * @module
 */
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fetchInto, type ResolveOptions, writeWhole } from '../../model/node/resolve.ts';
import { type HubSplit, hubSplitName, listSplit } from '../hub.ts';
import { readParquet } from '../parquet.ts';

/** A file on this machine, and the name by which a manifest knows it. */
export interface NamedFile {
  readonly path: string;
  readonly name: string;
}

/** @throws {Fault} HUB_REFUSED, DOWNLOAD_FAILED, INTERRUPTED, DATA_INVALID */
export async function resolveSplit(split: HubSplit, options: Omit<ResolveOptions, 'revision'>): Promise<NamedFile> {
  const home = resolve(options.cache, 'hub', `datasets--${split.id.replace('/', '--')}`);
  const revision = hubSplitName(split);
  const wanted = { id: split.id, revision, list: () => listSplit(split, options) };
  const { commit, files } = await fetchInto(home, wanted, options);
  const name = [...split.id.split('/'), split.config, split.split].filter((part) => part !== undefined).join('-');
  const [only, ...more] = files.values();
  if (more.length === 0) return { path: only!, name: `${name}.parquet` };
  const joined = join(home, commit, `${name}.jsonl`);
  if (!(await stat(joined).catch(() => undefined))) await writeWhole(joined, await lines([...files.values()]));
  return { path: joined, name: `${name}.jsonl` };
}

async function lines(paths: readonly string[]): Promise<string> {
  const parts: string[] = [];
  for (const path of paths)
    for (const row of readParquet(path, await readFile(path))) parts.push(`${JSON.stringify(row)}\n`);
  return parts.join('');
}
