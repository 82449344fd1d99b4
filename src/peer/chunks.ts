/**
 * A snapshot in chunks: neighbouring leaves of the Merkle tree over the weights, each chunk named by the node above them.
 * The list of leaves leads to the root that the journal holds, so whoever has it tells a right chunk from a wrong one
 * when it comes, and need not believe where it came from.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { ByteSource } from '../model/source.ts';
import type { Hex } from '../nouns.ts';
import { equalBytes, toHex } from '../numeric/bytes.ts';
import { type Leaf, leafHash, rootOf, type Sha256 } from '../numeric/merkle.ts';
import type { ChunkStore } from '../ports.ts';

/** Leaves under a chunk, a power of two so that they are a subtree: 1 MiB at most, less where tensors are small. */
export const CHUNK_LEAVES = 4;

export interface Chunk {
  /** Merkle node above its leaves. */
  readonly name: Hex;
  /** Byte of the snapshot at which it begins. */
  readonly at: number;
  readonly bytes: number;
  readonly leaves: readonly Leaf[];
}

/** In the order of the weights. @param leaves of a whole snapshot. */
export function chunksOf(leaves: readonly Leaf[], sha256: Sha256): Chunk[] {
  const chunks: Chunk[] = [];
  let at = 0;
  for (let first = 0; first < leaves.length; first += CHUNK_LEAVES) {
    const own = leaves.slice(first, first + CHUNK_LEAVES);
    const bytes = own.reduce((sum, leaf) => sum + leaf.bytes, 0);
    const node = rootOf(
      own.map(({ hash }) => hash),
      sha256,
    );
    chunks.push({ name: toHex(node), at, bytes, leaves: own });
    at += bytes;
  }
  return chunks;
}

/** Root over the leaves of a snapshot. */
export const rootOfLeaves = (leaves: readonly Leaf[], sha256: Sha256): Uint8Array =>
  rootOf(
    leaves.map(({ hash }) => hash),
    sha256,
  );

export function isChunk(chunk: Pick<Chunk, 'bytes' | 'leaves'>, bytes: Uint8Array, sha256: Sha256): boolean {
  if (bytes.length !== chunk.bytes) return false;
  let at = 0;
  return chunk.leaves.every((leaf) => equalBytes(leafHash(bytes.subarray(at, (at += leaf.bytes)), sha256), leaf.hash));
}

/** Whether the weights already are what the chunk says. @param own chunks of weights of the same shapes. */
export const isKept = (chunk: Chunk, i: number, own: readonly Chunk[]): boolean =>
  own[i]?.name === chunk.name && own[i]!.bytes === chunk.bytes;

/** A snapshot whose chunks lie in a store, read a chunk at a time. @throws {Fault} BLOB_MISMATCH for one that is not there */
export function storedSnapshot(chunks: readonly Chunk[], store: Pick<ChunkStore, 'get'>): ByteSource {
  const byPlace = new Map(chunks.map((chunk) => [chunk.at, chunk]));
  return {
    name: 'the snapshot',
    size: chunks.reduce((sum, { bytes }) => sum + bytes, 0),
    async read(offset, length) {
      const chunk = byPlace.get(offset);
      const bytes = chunk && (await store.get(chunk.name));
      if (bytes?.length !== length)
        throw new Fault('BLOB_MISMATCH', `the chunk at byte ${offset} of the snapshot is not here any more`);
      return bytes;
    },
  };
}
