/**
 * The folder of a run (`output_dir`): the journal, the coordinator's key, where the files lay, and what was written on
 * the way. From the journal and the base, everything else follows.
 *
 * @module
 */
import { copyFile, mkdir, readdir, readFile, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Fault } from '../../faults.ts';
import { type JournalRecord, readJournal, verifyJournal } from '../../journal/reader.ts';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from '../../model/peft.ts';
import type { BlobRef, Manifest, Merge } from '../../nouns.ts';
import { equalBytes, toHex } from '../../numeric/bytes.ts';
import { type Ledger, ledgerOf, mergesOf, roundsOf } from '../ledger.ts';
import type { Replica } from '../replica.ts';
import { locate, type Paths } from './blobs.ts';
import { nodeCrypto } from './crypto.ts';
import { fileRefusal } from './file-refusal.ts';
import { writeWhole } from './write-file.ts';

export const JOURNAL_FILE = 'journal.murmur';
/** Contributions that were receipted and are not committed yet. */
export const PENDING_FILE = 'pending.murmur';
/** Chunks of the merges that the journal names, and of shares that are not merged yet. */
export const MERGES_FOLDER = 'merges';
export const OFFERS_FOLDER = 'offers';
/** Momentum of whoever merges. */
export const MEMORY_FILE = 'merger.state';
/** Keys and logs of the peers that the host started. */
export const PEERS_FOLDER = 'peers';
export const KEY_FILE = 'coordinator.key';
/** Hash → absolute path of the base and the data, as this machine had them. */
export const FILES_FILE = 'files.json';
/** Folder of the adapter that the base came with: no other place keeps it for long. */
export const ADAPTER_FOLDER = 'adapter';

/**
 * The manifest of the run that a folder holds, if it holds one. A torn tail is none of its concern.
 * @throws {Fault} OUTPUT_EXISTS for a file, FILE_REFUSED, JOURNAL_*
 */
export async function storedManifest(folder: string): Promise<Manifest | undefined> {
  const found = await stat(folder).catch(() => undefined);
  if (found && !found.isDirectory()) throw new Fault('OUTPUT_EXISTS', `${folder} is a file; name a folder`);
  const bytes = await readFile(join(folder, JOURNAL_FILE)).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw fileRefusal(cause) ?? cause;
  });
  return bytes && readJournal(new Uint8Array(bytes), nodeCrypto).position.state?.manifest;
}

/**
 * Does what begins a run in `folder`, which is made if need be. If it fails, whatever of a run was not there before is
 * removed again.
 * @throws what the system says if the folder cannot be made; whatever `begin` throws
 */
export async function beginIn<T>(folder: string, begin: () => Promise<T>): Promise<T> {
  const made = await mkdir(folder, { recursive: true });
  const before = new Set(await readdir(folder));
  try {
    return await begin();
  } catch (error) {
    for (const name of [
      JOURNAL_FILE,
      PENDING_FILE,
      KEY_FILE,
      FILES_FILE,
      ADAPTER_FOLDER,
      MERGES_FOLDER,
      OFFERS_FOLDER,
      MEMORY_FILE,
      PEERS_FOLDER,
    ])
      if (!before.has(name)) await rm(join(folder, name), { force: true, recursive: true });
    if (made !== undefined) await removeEmpty(resolve(folder), resolve(made));
    throw error;
  }
}

/** Removes folders that are empty, from `folder` up to `last`. */
async function removeEmpty(folder: string, last: string): Promise<void> {
  const gone = await rmdir(folder).then(
    () => true,
    () => false,
  );
  if (gone && folder !== last) await removeEmpty(dirname(folder), last);
}

/** A journal that was read and verified, and the files it names. */
export interface RunFolder {
  /** Where it lies. */
  readonly folder: string;
  readonly manifest: Manifest;
  readonly records: readonly JournalRecord[];
  readonly ledger: Ledger;
  /** Bytes of the journal. */
  readonly bytes: number;
  readonly paths: Paths;
}

/** Where the user says that files are, if not where they were. */
export interface Given {
  readonly model?: string | undefined;
  readonly data?: string | undefined;
  readonly eval_data?: string | undefined;
}

/** The journal of an `output_dir`, or the file itself. @throws {Fault} FILE_MISSING */
export const journalPath = async (run: string): Promise<string> => {
  const found = await stat(run).catch(() => undefined);
  if (found?.isFile()) return run;
  const path = join(run, JOURNAL_FILE);
  if (await stat(path).catch(() => undefined)) return path;
  const alone = 'what was trained alone is a model already, in model/';
  throw new Fault('FILE_MISSING', `${run} holds no ${JOURNAL_FILE}; name the output_dir of a run (${alone})`);
};

/**
 * @param run an `output_dir`, or a journal file.
 * @throws {Fault} FILE_MISSING, JOURNAL_*, HEADER_WRONG, SIGNATURE_WRONG
 */
export async function openRun(run: string, given: Given = {}): Promise<RunFolder> {
  const path = await journalPath(run);
  const bytes = await readFile(path);
  const { records } = verifyJournal(new Uint8Array(bytes), nodeCrypto);
  const ledger = ledgerOf(records.map(({ entry }) => entry));
  const { manifest } = ledger;
  const remembered = await readPaths(resolve(path, '..'));
  const { train, eval: held } = manifest.data;
  const base = await locate(manifest.base.files, (file) => [
    ...(given.model ? [join(given.model, file.path)] : []),
    ...known(remembered, file),
    join(path, '..', ADAPTER_FOLDER, file.path),
  ]);
  const data = await locate(held ? [train, held] : [train], (file) => [
    ...[given.data, given.eval_data].flatMap((name) => (name ? [name] : [])),
    ...known(remembered, file),
  ]);
  return { folder: resolve(path, '..'), manifest, records, ledger, bytes: bytes.length, paths: { ...base, ...data } };
}

const known = (paths: Paths, { sha256 }: BlobRef): readonly string[] => (paths[sha256] ? [paths[sha256]] : []);

/** Where the files of the base are, without those of the data. */
export const basePaths = ({ manifest, paths }: RunFolder): Paths =>
  Object.fromEntries(manifest.base.files.flatMap(({ sha256 }) => (paths[sha256] ? [[sha256, paths[sha256]]] : [])));

/** @throws {Fault} FILE_MISSING naming the first file of the base that was not found */
export function requireBase({ manifest, paths }: RunFolder): void {
  const missing = manifest.base.files.find(({ sha256 }) => paths[sha256] === undefined);
  if (missing)
    throw new Fault(
      'FILE_MISSING',
      `${missing.path} of the base "${manifest.base.name}" is not where it was, or has changed; name its folder with --model`,
    );
}

/** @throws {Fault} FILE_MISSING naming the file of the data that was not found */
export function requireData({ manifest: { data }, paths }: RunFolder, held: BlobRef | undefined = data.eval): void {
  const missing = (file: BlobRef, flag: string): Fault =>
    new Fault('FILE_MISSING', `${file.path} of the run is not where it was, or has changed; name it with ${flag}`);
  if (paths[data.train.sha256] === undefined) throw missing(data.train, '--data');
  if (held && paths[held.sha256] === undefined) throw missing(held, '--eval_data');
}

async function readPaths(folder: string): Promise<Paths> {
  const text = await readFile(join(folder, FILES_FILE), 'utf8').catch(() => '{}');
  return parsePaths(text) ?? {}; // it only saves looking: the hash decides
}

/** What `rememberPaths` writes; undefined for any other text. */
export function parsePaths(text: string): Paths | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isPaths =
      typeof value === 'object' && value !== null && Object.values(value).every((path) => typeof path === 'string');
    return isPaths ? (value as Paths) : undefined;
  } catch {
    return undefined;
  }
}

export async function rememberPaths(folder: string, paths: Paths): Promise<void> {
  await mkdir(folder, { recursive: true });
  const absolute = Object.fromEntries(Object.entries(paths).map(([hash, path]) => [hash, resolve(path)]));
  await writeWhole(join(folder, FILES_FILE), `${JSON.stringify(absolute, null, 1)}\n`);
}

/** Copies the adapter that a base came with, if it did, into the folder of the run. @returns where everything lies then */
export async function keepAdapter(folder: string, { base }: Manifest, paths: Paths): Promise<Paths> {
  const kept: Record<string, string> = { ...paths };
  for (const { path, sha256 } of base.files) {
    if (path !== ADAPTER_CONFIG && path !== ADAPTER_WEIGHTS) continue;
    const copy = join(folder, ADAPTER_FOLDER, path);
    await mkdir(dirname(copy), { recursive: true });
    if (resolve(copy) !== resolve(paths[sha256]!)) await copyFile(paths[sha256]!, copy);
    kept[sha256] = copy;
  }
  return kept;
}

/** Rounds applied in one call: progress shows in between. */
const ROUNDS_PER_CALL = 64;

/**
 * Applies the run's rounds to a replica of its base, checking every digest on the way.
 * @param until rounds to apply; all by default.
 * @throws {Fault} DRIFT naming the round whose digest differs
 */
export async function replay(
  { folder, records, ledger }: RunFolder,
  replica: Replica,
  until: number = ledger.round,
  progress: (round: number) => void = () => undefined,
): Promise<void> {
  const entries = records.map(({ entry }) => entry);
  const rounds = roundsOf(entries).slice(0, until);
  const merges = mergesOf(entries).slice(0, until);
  const last = Math.max(rounds.length, merges.length);
  const stops = [...ledger.digests.keys()].filter((round) => round <= until).sort((a, b) => a - b);
  for (let at = replica.round(); ; at = replica.round()) {
    const digest = ledger.digests.get(at);
    if (digest) {
      const root = await replica.root();
      if (toHex(root) !== toHex(digest))
        throw new Fault('DRIFT', `after round ${at} the weights are ${toHex(root)}, the journal says ${toHex(digest)}`);
    }
    progress(at);
    if (at >= last) return;
    const merge = merges[at];
    if (merge !== undefined) {
      await replica.exchange!.merge([{ merge, chunks: await chunksOf(folder, merge) }]);
      continue;
    }
    const stop = Math.min(at + ROUNDS_PER_CALL, last, ...stops.filter((round) => round > at));
    await replica.apply(rounds.slice(at, stop));
  }
}

/** Chunks of a merge, out of the folder of its run. @throws {Fault} FILE_MISSING, BLOB_MISMATCH */
async function chunksOf(folder: string, { round, chunks }: Merge): Promise<Uint8Array[]> {
  return Promise.all(
    chunks.map(async (hash) => {
      const path = join(folder, MERGES_FOLDER, toHex(hash));
      const bytes = await readFile(path).catch((cause) => {
        throw new Fault('FILE_MISSING', `${path} of round ${round} is gone; copy the whole output_dir`, { cause });
      });
      if (!equalBytes(nodeCrypto.sha256(bytes), hash))
        throw new Fault('BLOB_MISMATCH', `${path} is damaged; take it from another copy of the output_dir`);
      return new Uint8Array(bytes);
    }),
  );
}
