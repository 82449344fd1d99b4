/**
 * Checkpoints of a run: `checkpoint-N/weights.q32`, the fixed-point weights after N rounds, so that a restart or a late
 * joiner need not replay everything. They save time and carry no authority: the journal's digest decides.
 *
 * @module
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../faults.ts';
import { fileSource } from '../../model/node/files.ts';
import type { ByteSource } from '../../model/source.ts';
import type { Round } from '../../nouns.ts';
import { toHex } from '../../numeric/bytes.ts';
import type { Replica } from '../replica.ts';
import type { Snapshot } from './http.ts';
import { writePieces } from './write-file.ts';

const WEIGHTS = 'weights.q32';

export interface Checkpoint {
  readonly round: number;
  readonly root: Uint8Array;
  /** As peers may fetch it. */
  readonly offer: Snapshot;
  open(): Promise<ByteSource>;
}

const checkpointAt = (folder: string, round: number, root: Uint8Array): Checkpoint => {
  const path = join(folder, `checkpoint-${round}`, WEIGHTS);
  return { round, root, offer: { round, root: toHex(root), path }, open: () => fileSource(path) };
};

/** Writes a checkpoint and removes the one before it: the journal rebuilds any round. */
export async function saveCheckpoint(
  folder: string,
  round: number,
  root: Uint8Array,
  snapshot: Replica['snapshot'],
): Promise<Checkpoint> {
  const checkpoint = checkpointAt(folder, round, root);
  await mkdir(join(folder, `checkpoint-${round}`), { recursive: true });
  await writePieces(checkpoint.offer.path, snapshot);
  for (const old of await roundsIn(folder))
    if (old !== round) await rm(join(folder, `checkpoint-${old}`), { recursive: true, force: true });
  return checkpoint;
}

/**
 * Sets a replica to the latest checkpoint that is what the journal says, if there is one: one that is damaged, or was
 * not written to its end, or has no digest in the journal, is passed over.
 * @param digests of the journal, by round. @param recent what of the journal goes with a round, for `Replica.restore`.
 */
export async function restoreLatest(
  replica: Replica,
  folder: string,
  digests: ReadonlyMap<number, Uint8Array>,
  recent: (round: number) => readonly Round[] = () => [],
): Promise<Checkpoint | undefined> {
  for (const round of (await roundsIn(folder)).reverse()) {
    const root = digests.get(round);
    if (root === undefined) continue;
    const checkpoint = checkpointAt(folder, round, root);
    if (!(await stat(checkpoint.offer.path).catch(() => undefined))) continue;
    try {
      await replica.restore(round, await checkpoint.open(), root, recent(round));
      return checkpoint;
    } catch (error) {
      if (!(error instanceof Fault && error.code === 'BLOB_MISMATCH')) throw error;
    }
  }
  return undefined;
}

/** Rounds of the checkpoints in a folder, whole or not, ascending. */
export async function roundsIn(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(() => []);
  return names
    .flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}
