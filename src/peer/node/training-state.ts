/**
 * The state of a training on one machine as one file: which run it is of, steps taken, the weights that move, and what
 * the optimizer keeps of them. Written beside its place and renamed, so that whoever is killed finds the one before.
 *
 *     magic 8 · u32 length of the JSON · JSON · for each tensor in id order: q i32, moments f32 · SHA-256 of all before
 *
 * Numbers are little-endian; doubles are in the JSON, whose shortest text reads back as the same double.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { Fault } from '../../faults.ts';
import { canonicalJson } from '../../journal/canonical.ts';
import type { Moments } from '../../method/backprop.ts';
import { fileSource } from '../../model/node/files.ts';
import type { ByteSource } from '../../model/source.ts';
import type { Fixed, Weights } from '../../model/weights.ts';
import type { Manifest } from '../../nouns.ts';
import { equalBytes } from '../../numeric/bytes.ts';
import type { Powers } from '../../optimizer/adamw.ts';
import { nameless } from '../same-run.ts';
import { writePieces } from './write-file.ts';

const MAGIC = new TextEncoder().encode('murmurT1');
const DIGEST_BYTES = 32;
/** A header names a run and a few thousand tensors; more is no header. */
const MAX_HEADER_BYTES = 2 ** 26;
/** Bytes that are read at once. */
const PIECE = 2 ** 24;

export interface TrainingState {
  /** What two states must agree on to be of one run. */
  readonly identity: Readonly<Record<string, unknown>>;
  readonly step: number;
  readonly powers: Powers;
  readonly weights: Weights;
  /** Ids of the tensors that move, ascending. */
  readonly moved: readonly number[];
  readonly moments: Moments;
}

interface Header extends Pick<TrainingState, 'identity' | 'step' | 'powers'> {
  /** Elements of each tensor that moves, and how many arrays of moments follow it. */
  readonly tensors: readonly { readonly name: string; readonly elements: number; readonly moments: number }[];
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Int32Array | Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

const movedOf = ({ weights, moved }: TrainingState): readonly Fixed[] => {
  const ids = new Set(moved);
  return weights.tensors.filter(({ id }) => ids.has(id));
};

function headerOf(state: TrainingState): Header {
  const { identity, step, powers, moments } = state;
  const tensors = movedOf(state).map(({ id, name, shape }) => ({
    name,
    elements: shape.reduce((a, b) => a * b, 1),
    moments: moments.get(id)?.length ?? 0,
  }));
  return { identity, step, powers, tensors };
}

export async function writeState(path: string, state: TrainingState): Promise<void> {
  const hash = createHash('sha256');
  await writePieces(path, async (put) => {
    const hashed = (bytes: Uint8Array): Promise<void> => {
      hash.update(bytes);
      return put(bytes);
    };
    const json = new TextEncoder().encode(canonicalJson(headerOf(state)));
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, json.length, true);
    for (const part of [MAGIC, length, json]) await hashed(part);
    for (const { id, name } of movedOf(state)) {
      await state.weights.visit(name, (page) => hashed(bytesOf(page.tensor(name).q)));
      for (const array of state.moments.get(id) ?? []) await hashed(bytesOf(array));
    }
    await put(hash.digest());
  });
}

/**
 * Sets weights and moments of `state` to what a file says.
 * @returns step and powers; undefined if there is no such file. Nothing was changed where it throws.
 * @throws {Fault} BLOB_MISMATCH for a damaged file, OUTPUT_EXISTS for one of another run, naming what differs
 */
export async function readState(
  path: string,
  state: TrainingState,
): Promise<Pick<TrainingState, 'step' | 'powers'> | undefined> {
  if (!(await stat(path).catch(() => undefined))) return undefined;
  const source = await fileSource(path);
  const { header, start } = await openState(source);
  const expected = headerOf(state);
  checkIdentity(path, header.identity, expected.identity);
  if (canonicalJson(header.tensors) !== canonicalJson(expected.tensors)) throw damaged(path);
  let at = start;
  const next = async (array: Int32Array | Float32Array): Promise<void> => {
    const into = bytesOf(array);
    for (let done = 0; done < into.length; done += PIECE) {
      const piece = await source.read(at, Math.min(PIECE, into.length - done));
      into.set(piece, done);
      at += piece.length;
    }
  };
  for (const { id, name, shape } of movedOf(state)) {
    const q = new Int32Array(shape.reduce((a, b) => a * b, 1));
    await next(q);
    await state.weights.visit(name, (page) => page.replace(name, 0, q));
    for (const array of state.moments.get(id) ?? []) await next(array);
  }
  return { step: header.step, powers: header.powers };
}

const damaged = (path: string): Fault =>
  new Fault('BLOB_MISMATCH', `${path} is damaged, or of another version; delete it to begin again`);

/** Reads the header of a file whose hash is right. @throws {Fault} BLOB_MISMATCH */
async function openState(source: ByteSource): Promise<{ header: Header; start: number }> {
  const { name, size, read } = source;
  const opening = MAGIC.length + 4;
  const end = size - DIGEST_BYTES;
  if (end < opening) throw damaged(name);
  const hash = createHash('sha256');
  for (let at = 0; at < end; at += PIECE) hash.update(await read(at, Math.min(PIECE, end - at)));
  if (!equalBytes(hash.digest(), await read(end, DIGEST_BYTES))) throw damaged(name);
  const head = await read(0, opening);
  const length = new DataView(head.buffer, head.byteOffset).getUint32(MAGIC.length, true);
  if (!equalBytes(head.subarray(0, MAGIC.length), MAGIC) || length > Math.min(MAX_HEADER_BYTES, end - opening))
    throw damaged(name);
  const header = JSON.parse(new TextDecoder().decode(await read(opening, length))) as Header;
  const payload = header.tensors.reduce((n, { elements, moments }) => n + 4 * elements * (1 + moments), 0);
  if (opening + length + payload !== end) throw damaged(name);
  return { header, start: opening + length };
}

/** Files may be called otherwise on another machine. */
const unnamed = ({ manifest, ...rest }: TrainingState['identity']): object =>
  manifest === undefined ? rest : { ...rest, manifest: nameless(manifest as Manifest) };

/** @throws {Fault} OUTPUT_EXISTS */
function checkIdentity(path: string, found: TrainingState['identity'], wanted: TrainingState['identity']): void {
  const leaves = (value: unknown, at: string): [string, string][] =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value).flatMap(([key, item]) => leaves(item, `${at}.${key}`))
      : [[at, canonicalJson(value)]];
  const [a, b] = [found, wanted].map((identity) => new Map(leaves(unnamed(identity), ''))) as [
    Map<string, string>,
    Map<string, string>,
  ];
  const differs = [...new Set([...a.keys(), ...b.keys()])].find((key) => a.get(key) !== b.get(key));
  if (differs === undefined) return;
  throw new Fault(
    'OUTPUT_EXISTS',
    `${path} is of a training with another ${differs.split('.').at(-1)}; name another output_dir, or repeat its settings to go on`,
  );
}
