/**
 * Checkpoints of a run: `checkpoint-N/weights.q32`, the fixed-point weights after N rounds, so that a restart or a late
 * joiner need not replay everything. They save time and carry no authority: the journal's digest decides. Beside them
 * lies `leaves`, which names their chunks.
 *
 * @module
 */
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../faults.ts';
import { fileSource } from '../../model/node/files.ts';
import type { ByteSource } from '../../model/source.ts';
import type { Round } from '../../nouns.ts';
import { equalBytes } from '../../numeric/bytes.ts';
import { type Leaf, leavesOf } from '../../numeric/merkle.ts';
import { decodeLeaves, encodeLeaves } from '../../wire/snapshot-offer.ts';
import { rootOfLeaves } from '../chunks.ts';
import type { SavedSnapshot } from '../host-snapshots.ts';
import type { Replica } from '../replica.ts';
import { asIntegers } from '../snapshot.ts';
import { nodeCrypto } from './crypto.ts';
import { writePieces, writeWhole } from './write-file.ts';

const WEIGHTS = 'weights.q32';
const LEAVES = 'leaves';
const SUMS = 'sums';
/** The newest, and the one before it: a joiner may be in the middle of it. */
const KEPT = 2;

export interface Checkpoint {
  readonly round: number;
  readonly leaves: readonly Leaf[];
  /** Of the weights: chunk after chunk. */
  readonly path: string;
  /** The same of `Replica.sums`, where they were kept. */
  readonly sums?: { readonly leaves: readonly Leaf[]; readonly path: string };
}

const folderOf = (folder: string, round: number): string => join(folder, `checkpoint-${round}`);

/** Writes a checkpoint and removes those before the last one: the journal rebuilds any round. */
export async function saveCheckpoint(
  folder: string,
  { round, leaves, sums }: Pick<SavedSnapshot, 'round' | 'leaves' | 'sums'>,
  snapshot: Replica['snapshot'],
): Promise<Checkpoint> {
  const own = folderOf(folder, round);
  await mkdir(own, { recursive: true });
  await writeWhole(join(own, LEAVES), encodeLeaves(leaves));
  await writePieces(join(own, WEIGHTS), snapshot);
  for (const old of (await roundsIn(folder)).filter((other) => other !== round).slice(0, -(KEPT - 1)))
    await rm(folderOf(folder, old), { recursive: true, force: true });
  const path = join(own, WEIGHTS);
  if (sums === undefined) return { round, leaves, path };
  const kept = { leaves: leavesOf(asIntegers(sums), nodeCrypto.sha256), path: join(own, SUMS) };
  await writeWhole(kept.path, sums);
  return { round, leaves, path, sums: kept };
}

/** Leaves of a checkpoint, if they are those of `root`. */
async function leavesIn(folder: string, root: Uint8Array): Promise<readonly Leaf[] | undefined> {
  const bytes = await readFile(join(folder, LEAVES)).catch(() => undefined);
  try {
    const leaves = bytes && decodeLeaves(new Uint8Array(bytes));
    return leaves && leaves.length > 0 && equalBytes(rootOfLeaves(leaves, nodeCrypto.sha256), root)
      ? leaves
      : undefined;
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
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
    const path = join(folderOf(folder, round), WEIGHTS);
    if (!(await stat(path).catch(() => undefined))) continue;
    const source: ByteSource = await fileSource(path);
    try {
      await replica.restore(round, source, root, recent(round));
      return { round, leaves: (await leavesIn(folderOf(folder, round), root)) ?? (await replica.leaves()), path };
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
