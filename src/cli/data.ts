/**
 * The data files of a run: where they lie on this machine, fetched from the Hub if they must be.
 *
 * @module
 */
import { basename } from 'node:path';
import { parseHubSplit } from '../data/hub.ts';
import { type NamedFile, resolveSplit } from '../data/node/resolve.ts';
import type { ResolveOptions } from '../model/node/resolve.ts';
import type { RunConfig } from './config.ts';

export interface DataFiles {
  readonly train: NamedFile;
  readonly eval?: NamedFile;
}

/** The name of a data file in the manifest, which takes no others: peers may write it to a disk of theirs. */
export const plainName = (path: string): string => basename(path).replaceAll(/[\p{Cc}\\:]/gu, '_');

/** @param split of a data set of the Hub that names none. */
export async function dataFile(text: string, split: string, options: ResolveOptions): Promise<NamedFile> {
  const hub = parseHubSplit(text, split);
  return hub ? resolveSplit(hub, options) : { path: text, name: plainName(text) };
}

/**
 * Where a task is asked for without data, its own are taken: both splits, or for shots the first alone, of which as many
 * are held out.
 */
export async function dataFilesOf(
  { data, eval_data, shots, tasks: { hub } }: Pick<RunConfig, 'data' | 'eval_data' | 'shots' | 'tasks'>,
  options: ResolveOptions,
): Promise<DataFiles> {
  const own = (split: string): string | undefined => hub && `hub:${hub.id}/${hub.config}:${split}`;
  const train = data ?? own(hub?.train ?? '');
  if (train === undefined) throw new RangeError('"data" expected beside a task without data of its own');
  const held = eval_data ?? (data === undefined && shots === undefined && hub ? own(hub.eval) : undefined);
  return {
    train: await dataFile(train, 'train', options),
    ...(held === undefined ? {} : { eval: await dataFile(held, 'validation', options) }),
  };
}
