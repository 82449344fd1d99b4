/**
 * A reward: a module of the user's, TypeScript or JavaScript, in one file.
 *
 *     export default ({ prompt, completion, row }) => number        or a promise of one
 *
 * It is code, so it is never fetched and never taken from a stranger: every peer is given its own copy, which must have
 * the hash that the manifest names, and what runs is the bytes that were hashed. The module is loaded from memory, so it
 * can import what Node has built in and nothing beside it.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import type { Reward, Rewarded } from '../../estimator/judge.ts';
import { Fault } from '../../faults.ts';
import type { BlobRef, Manifest } from '../../nouns.ts';
import { toHex } from '../../numeric/bytes.ts';
import { blobRef, holds, type Paths } from './blobs.ts';
import { nodeCrypto } from './crypto.ts';
import { fileRefusal } from './file-refusal.ts';

/** The reward that a manifest names, if it names one. */
export const rewardOf = ({ objective }: Pick<Manifest, 'objective'>): BlobRef | undefined =>
  typeof objective === 'object' ? objective.reward : undefined;

/**
 * The user's copy of the reward of a run.
 * @param given path, as --reward names it. @param known where files lie that this user has named before.
 * @throws {Fault} FILE_MISSING where there is none, BLOB_MISMATCH for another one
 */
export async function rewardPath(
  manifest: Pick<Manifest, 'objective'>,
  given: string | undefined,
  known: Paths = {},
): Promise<Paths> {
  const reward = rewardOf(manifest);
  if (reward === undefined) {
    if (given !== undefined) throw new Fault('CONFIG_INVALID', '--reward: is for runs that have one; leave it out');
    return {};
  }
  const path = given ?? known[reward.sha256];
  if (path === undefined)
    throw new Fault(
      'FILE_MISSING',
      `the run is measured by a reward of its own, ${reward.path}: code that is not fetched. Get it from who runs it, read it, and name it with --reward`,
    );
  if (given !== undefined) await blobRef(given, given); // says what is wrong with the path
  if (await holds(path, reward)) return { [reward.sha256]: path };
  throw new Fault('BLOB_MISMATCH', `${path} is not the ${reward.path} of this run, SHA-256 ${reward.sha256}`);
}

/** @throws {Fault} REWARD_FAILED, BLOB_MISMATCH, FILE_MISSING */
export async function loadReward(path: string, { path: name, sha256 }: BlobRef): Promise<Reward> {
  const bytes = await readFile(path).catch((cause) => {
    throw fileRefusal(cause) ?? new Fault('FILE_MISSING', `${path} is not there; check the path`, { cause });
  });
  if (toHex(nodeCrypto.sha256(bytes)) !== sha256)
    throw new Fault(
      'BLOB_MISMATCH',
      `${path} was changed since the run began; it must be the ${name} that it began with`,
    );
  const failed = (what: string, cause?: unknown): Fault =>
    new Fault('REWARD_FAILED', `${name} ${what}${cause === undefined ? '' : `: ${messageOf(cause)}`}`, { cause });
  let made: unknown;
  try {
    const source = new TextDecoder().decode(bytes);
    const typed = ['.ts', '.mts'].includes(extname(name));
    const code = typed ? await withoutTypes(source, name) : source;
    const url = `data:text/javascript;base64,${Buffer.from(code).toString('base64')}`;
    made = ((await import(url)) as { default?: unknown }).default;
  } catch (cause) {
    throw failed('cannot be loaded', cause);
  }
  if (typeof made !== 'function') throw failed('must export a function by default');
  return async (sample: Rewarded): Promise<number> => {
    let value: unknown;
    try {
      value = await made(sample);
    } catch (cause) {
      throw failed('throws', cause);
    }
    if (typeof value !== 'number') throw failed(`must give a number, gave ${typeof value}`);
    return value;
  };
}

/** Loaded where it is needed: it takes as long to load as half a peer. */
async function withoutTypes(source: string, filename: string): Promise<string> {
  const { transformSync } = await import('@swc/wasm-typescript');
  return transformSync(source, { mode: 'strip-only', module: true, filename }).code;
}

const messageOf = (error: unknown): string => String((error as { message?: unknown } | null)?.message ?? error);
