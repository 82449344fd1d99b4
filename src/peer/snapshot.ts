/**
 * All weights as bytes: the fixed-point elements of every tensor in id order, i32 little-endian, as every supported
 * machine keeps them. Read and written chunk by chunk (`chunks.ts`), since a model may be larger than memory.
 *
 * @module
 */
import { leaves as leavesOfWeights } from '../apply/digest.ts';
import { Fault } from '../faults.ts';
import { size } from '../graph/shape.ts';
import type { ByteSource } from '../model/source.ts';
import { elementsOf, type Fixed, type Weights } from '../model/weights.ts';
import { equalBytes } from '../numeric/bytes.ts';
import { LEAF_ELEMENTS, type Leaf, leafHash } from '../numeric/merkle.ts';
import type { Crypto } from '../ports.ts';
import { CHUNK_LEAVES, type Chunk, chunksOf, isChunk, isKept, rootOfLeaves } from './chunks.ts';

/** What lies under a leaf. */
interface Part {
  readonly name: string;
  /** Element of the tensor at which it begins, and how many there are. */
  readonly first: number;
  readonly count: number;
}

function partsOf(tensors: readonly Fixed[]): Part[] {
  const parts: Part[] = [];
  for (const { name, shape } of tensors) {
    const length = size(shape);
    for (let first = 0; first < length; first += LEAF_ELEMENTS)
      parts.push({ name, first, count: Math.min(LEAF_ELEMENTS, length - first) });
  }
  return parts;
}

/** Parts of each chunk. */
function* groupsOf(tensors: readonly Fixed[]): Iterable<readonly Part[]> {
  const parts = partsOf(tensors);
  for (let first = 0; first < parts.length; first += CHUNK_LEAVES) yield parts.slice(first, first + CHUNK_LEAVES);
}

const bytesOf = (parts: readonly Part[]): number => parts.reduce((sum, { count }) => sum + 4 * count, 0);

/** @param write is handed the chunks in order. */
export async function writeSnapshot(
  { tensors, visit }: Weights,
  write: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
  for (const parts of groupsOf(tensors)) {
    // A copy: whoever writes it may take its time.
    const all = new Int32Array(bytesOf(parts) / 4);
    let at = 0;
    for (const { name, first, count } of parts) {
      await visit(name, ({ tensor }) => all.set(tensor(name).q.subarray(first, first + count), at));
      at += count;
    }
    await write(new Uint8Array(all.buffer));
  }
}

/** Aligned, whatever the bytes were a view of. */
export const asIntegers = (bytes: Uint8Array): Int32Array => {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
};

/** Leaves of a snapshot that came without them. @throws {Fault} BLOB_MISMATCH when it has another length */
async function readLeaves(
  snapshot: ByteSource,
  tensors: readonly Fixed[],
  { sha256 }: Pick<Crypto, 'sha256'>,
): Promise<Leaf[]> {
  const found: Leaf[] = [];
  let place = 0;
  for (const parts of groupsOf(tensors)) {
    const bytes = await snapshot.read(place, bytesOf(parts));
    let at = 0;
    for (const { count } of parts) {
      found.push({ hash: leafHash(bytes.subarray(at, at + 4 * count), sha256), bytes: 4 * count });
      at += 4 * count;
    }
    place += bytes.length;
  }
  return found;
}

/**
 * Replaces the weights by a snapshot, or leaves them as they are where it is not what was expected. What the weights
 * already hold is not read.
 * @param root that it must have. @param leaves of it; absent: they are read off it.
 * @throws {Fault} BLOB_MISMATCH
 */
export async function takeSnapshot(
  weights: Weights,
  crypto: Crypto,
  snapshot: ByteSource,
  round: number,
  root: Uint8Array,
  leaves?: readonly Leaf[],
): Promise<void> {
  const { tensors, visit } = weights;
  const bytes = 4 * elementsOf(tensors);
  if (snapshot.size !== bytes)
    throw new Fault('BLOB_MISMATCH', `the snapshot holds ${snapshot.size} bytes, the weights are ${bytes}`);
  const { sha256 } = crypto;
  const theirs = leaves ?? (await readLeaves(snapshot, tensors, crypto));
  if (!equalBytes(rootOfLeaves(theirs, sha256), root))
    throw new Fault('BLOB_MISMATCH', `the snapshot of round ${round} does not have the root that was signed`);
  const own = chunksOf(await leavesOfWeights(weights, crypto), sha256);
  const changed = chunksOf(theirs, sha256).filter((chunk, i) => !isKept(chunk, i, own));
  const read = async (chunk: Chunk): Promise<Uint8Array> => {
    const found = await snapshot.read(chunk.at, chunk.bytes);
    if (isChunk(chunk, found, sha256)) return found;
    throw new Fault('BLOB_MISMATCH', `the chunk at byte ${chunk.at} of the snapshot of round ${round} is damaged`);
  };
  // All of it is looked at before any of it is taken.
  if (leaves !== undefined) for (const chunk of changed) await read(chunk);
  const byPlace = new Map(changed.map((chunk) => [chunk.at, chunk]));
  let place = 0;
  for (const parts of groupsOf(tensors)) {
    const chunk = byPlace.get(place);
    place += bytesOf(parts);
    if (chunk === undefined) continue;
    const q = asIntegers(await read(chunk));
    let at = 0;
    for (const { name, first, count } of parts) {
      await visit(name, (page) => page.replace(name, first, q.subarray(at, at + count)));
      at += count;
    }
  }
}
