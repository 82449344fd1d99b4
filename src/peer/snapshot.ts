/**
 * All weights as bytes: the fixed-point elements of every tensor in id order, i32 little-endian, as every supported
 * machine keeps them. Read and written piece by piece, since a model may be larger than memory.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { size } from '../graph/shape.ts';
import type { ByteSource } from '../model/source.ts';
import { elementsOf, type Fixed, type Weights } from '../model/weights.ts';
import { LEAF_ELEMENTS, leafHashes, rootOf } from '../numeric/merkle.ts';
import type { Crypto } from '../ports.ts';

/** Elements of a piece: whole leaves of the Merkle tree, 16 MiB. */
const PIECE: number = 64 * LEAF_ELEMENTS;

interface Piece {
  readonly name: string;
  /** Element of the tensor at which it begins, and how many there are. */
  readonly first: number;
  readonly count: number;
  /** Byte of the snapshot at which it begins. */
  readonly at: number;
}

function* piecesOf(tensors: readonly Fixed[]): Iterable<Piece> {
  let at = 0;
  for (const { name, shape } of tensors) {
    const length = size(shape);
    for (let first = 0; first < length; first += PIECE) {
      const count = Math.min(PIECE, length - first);
      yield { name, first, count, at };
      at += 4 * count;
    }
  }
}

export async function writeSnapshot(
  { tensors, visit }: Weights,
  write: (piece: Uint8Array) => Promise<void>,
): Promise<void> {
  for (const { name, first, count } of piecesOf(tensors)) {
    // A copy: whoever writes it may take its time.
    const q = await visit(name, ({ tensor }) => tensor(name).q.slice(first, first + count));
    await write(new Uint8Array(q.buffer));
  }
}

/** Aligned, whatever the bytes were a view of. */
async function read(snapshot: ByteSource, { at, count }: Piece): Promise<Int32Array> {
  const bytes = await snapshot.read(at, 4 * count);
  return new Int32Array(
    bytes.byteOffset % 4 === 0 ? bytes.buffer : bytes.slice().buffer,
    bytes.byteOffset % 4 === 0 ? bytes.byteOffset : 0,
    count,
  );
}

/** @throws {Fault} BLOB_MISMATCH when it has another length */
export async function snapshotRoot(
  snapshot: ByteSource,
  tensors: readonly Fixed[],
  { sha256 }: Crypto,
): Promise<Uint8Array> {
  const bytes = 4 * elementsOf(tensors);
  if (snapshot.size !== bytes)
    throw new Fault('BLOB_MISMATCH', `the snapshot holds ${snapshot.size} bytes, the weights are ${bytes}`);
  const leaves: Uint8Array[] = [];
  for (const piece of piecesOf(tensors)) leaves.push(...leafHashes(await read(snapshot, piece), sha256));
  return rootOf(leaves, sha256);
}

/** @param snapshot of the right length. */
export async function takeSnapshot({ tensors, visit }: Weights, snapshot: ByteSource): Promise<void> {
  for (const piece of piecesOf(tensors)) {
    const q = await read(snapshot, piece);
    await visit(piece.name, ({ replace }) => replace(piece.name, piece.first, q));
  }
}
