/**
 * A data set of the Hub by name → its Parquet files. The Hub converts every public data set to Parquet, on a branch of its
 * own, in folders `{config}/{split}/0000.parquet`.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { type HubAccess, isHubId, listRepository, type RemoteModel } from '../model/hub.ts';

/** One split of a data set. Without `config`: the only one, or the one called default. */
export interface HubSplit {
  readonly id: string;
  readonly config?: string | undefined;
  readonly split: string;
}

const PREFIX = 'hub:';
/** The Hub's branch. */
export const PARQUET = 'refs/convert/parquet';

/**
 * `hub:owner/name`, `hub:owner/name/config`, either with `:split` behind it; undefined for any other text.
 * @param split where the text names none. @throws {Fault} CONFIG_INVALID for a text that begins so and goes on otherwise
 */
export function parseHubSplit(text: string, split: string): HubSplit | undefined {
  if (!text.startsWith(PREFIX)) return undefined;
  const [, id, config, named] = /^([^/:]+\/[^/:]+)(?:\/([^/:]+))?(?::([^/:]+))?$/.exec(text.slice(PREFIX.length)) ?? [];
  const plain = [config, named].every((part) => part === undefined || /^\w[\w.-]*$/.test(part));
  if (id !== undefined && isHubId(id) && plain) return { id, config, split: named ?? split };
  throw new Fault('CONFIG_INVALID', `"${text}" names no data set; write hub:owner/name[/config][:split]`);
}

export const hubSplitName = ({ id, config, split }: HubSplit): string =>
  `${PREFIX}${id}${config === undefined ? '' : `/${config}`}:${split}`;

/** @throws {Fault} HUB_REFUSED naming the configs or splits there are; as `listRepository` */
export async function listSplit(wanted: HubSplit, access: HubAccess): Promise<RemoteModel> {
  const { id, split } = wanted;
  const { commit, files } = await listRepository('dataset', id, PARQUET, access);
  const found = [...files.values()].flatMap((file) => {
    const [config, name, shard, ...more] = file.path.split('/');
    return shard?.endsWith('.parquet') && more.length === 0 ? [{ config, name, file }] : [];
  });
  const configs = [...new Set(found.map(({ config }) => config))];
  const refuse = (what: string, have: readonly (string | undefined)[]): never => {
    throw new Fault('HUB_REFUSED', `data set ${id} has no ${what}; it has ${have.join(', ') || 'no Parquet files'}`);
  };
  const config = wanted.config ?? (configs.length === 1 ? configs[0]! : 'default');
  if (!configs.includes(config)) refuse(`config "${config}"`, configs);
  const inside = found.filter((file) => file.config === config);
  const shards = inside.filter(({ name }) => name === split).map(({ file }) => file);
  if (shards.length === 0)
    refuse(`split "${split}" in config "${config}"`, [...new Set(inside.map(({ name }) => name))]);
  return { commit, files: shards.sort((a, b) => (a.path < b.path ? -1 : 1)) };
}
