/**
 * Checkpoints of a run: `checkpoint-N/weights.q32`, the fixed-point weights after N rounds, so that a restart or a late
 * joiner need not replay everything. They save time and carry no authority: the journal's digest decides.
 *
 * @module
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../numeric/bytes.ts';
import type { Snapshot } from './http.ts';
import { writeWhole } from './run-folder.ts';

const WEIGHTS = 'weights.q32';

export interface Checkpoint {
  readonly round: number;
  readonly root: Uint8Array;
  /** As peers may fetch it. */
  readonly offer: Snapshot;
  read(): Promise<Uint8Array>;
}

const checkpointAt = (folder: string, round: number, root: Uint8Array): Checkpoint => {
  const path = join(folder, `checkpoint-${round}`, WEIGHTS);
  return { round, root, offer: { round, root: toHex(root), path }, read: () => readFile(path) };
};

/** Writes a checkpoint and removes the one before it: the journal rebuilds any round. */
export async function saveCheckpoint(
  folder: string,
  round: number,
  root: Uint8Array,
  weights: Uint8Array,
): Promise<Checkpoint> {
  const checkpoint = checkpointAt(folder, round, root);
  await mkdir(join(folder, `checkpoint-${round}`), { recursive: true });
  await writeWhole(checkpoint.offer.path, weights);
  for (const old of await roundsIn(folder))
    if (old !== round) await rm(join(folder, `checkpoint-${old}`), { recursive: true, force: true });
  return checkpoint;
}

/** @param digests of the journal, by round. A checkpoint that has none there is left alone. */
export async function latestCheckpoint(
  folder: string,
  digests: ReadonlyMap<number, Uint8Array>,
): Promise<Checkpoint | undefined> {
  const round = (await roundsIn(folder)).filter((n) => digests.has(n)).at(-1);
  return round === undefined ? undefined : checkpointAt(folder, round, digests.get(round)!);
}

/** Ascending. */
async function roundsIn(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}
