/**
 * Vectors as they travel: in chunks of `CHUNK_WEIGHTS` values, each named by its SHA-256, so that whoever has the names can
 * take the chunks from anybody, in any order, and go on where it broke off.
 *
 *     what a peer signs of a share:  steps u32 · SHA-256 of each chunk
 *     a packed chunk:                0 · bytes, or 1 · DEFLATE (RFC 1951) of the bytes
 *
 * The hash is of the bytes and not of their packing, which any two ends may do differently.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { CHUNK_WEIGHTS, MAX_CHUNKS } from '../nouns.ts';
import { concatBytes } from '../numeric/bytes.ts';
import type { Compressor } from '../ports.ts';

const HASH_BYTES = 32;
const COUNT_BYTES = 4;

/** What a peer says of its share of a round. Without chunks it has nothing to give. */
export interface Offer {
  /** Inner steps taken. */
  readonly count: number;
  readonly hashes: readonly Uint8Array[];
}

/** As the octets that a contribution carries. */
export function encodeOffer({ count, hashes }: Offer): Int8Array {
  const bytes = concatBytes(new Uint8Array(COUNT_BYTES), ...hashes);
  new DataView(bytes.buffer).setUint32(0, count, true);
  return new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** @throws {Fault} FRAME_INVALID */
export function decodeOffer(codes: Int8Array): Offer {
  const hashed = codes.length - COUNT_BYTES;
  if (hashed < 0 || hashed % HASH_BYTES !== 0 || hashed / HASH_BYTES > MAX_CHUNKS)
    throw new Fault('FRAME_INVALID', `a share of ${codes.length} bytes is no count and whole hashes`);
  const bytes = new Uint8Array(codes.buffer, codes.byteOffset, codes.length);
  const count = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const hashes = Array.from({ length: hashed / HASH_BYTES }, (_, i) =>
    bytes.slice(COUNT_BYTES + i * HASH_BYTES, COUNT_BYTES + (i + 1) * HASH_BYTES),
  );
  return { count, hashes };
}

/** Values of each chunk of a vector of n. */
export function chunkLengths(n: number): number[] {
  return Array.from({ length: Math.ceil(n / CHUNK_WEIGHTS) }, (_, i) => Math.min(CHUNK_WEIGHTS, n - i * CHUNK_WEIGHTS));
}

/** Bytes of a chunk at most, in any format. */
export const MAX_CHUNK_BYTES: number = 4 * CHUNK_WEIGHTS;

/** A compressor is given a chunk when a few pieces of it come to less than this part: time is not spent on noise. */
const WORTH_PACKING = 0.9;
const PIECES = 8;
const PIECE_BYTES = 1024;

function isWorthPacking(bytes: Uint8Array, { deflate }: Compressor): boolean {
  if (bytes.length <= PIECES * PIECE_BYTES) return true;
  const pieces = Array.from({ length: PIECES }, (_, i) => {
    const at = Math.floor((i * (bytes.length - PIECE_BYTES)) / (PIECES - 1));
    return bytes.subarray(at, at + PIECE_BYTES);
  });
  return deflate(concatBytes(...pieces)).length < WORTH_PACKING * PIECES * PIECE_BYTES;
}

export function pack(bytes: Uint8Array, compressor: Compressor): Uint8Array {
  const deflated = isWorthPacking(bytes, compressor) ? compressor.deflate(bytes) : bytes;
  const smaller = deflated.length < bytes.length;
  return concatBytes(Uint8Array.of(smaller ? 1 : 0), smaller ? deflated : bytes);
}

/** @throws {Fault} SHARE_INVALID for what is longer than a chunk, or no packing at all */
export function unpack(packed: Uint8Array, { inflate }: Compressor): Uint8Array {
  const [method] = packed;
  const body = packed.subarray(1);
  const bytes = method === 0 ? body : method === 1 ? inflate(body, MAX_CHUNK_BYTES) : undefined;
  if (bytes === undefined || bytes.length > MAX_CHUNK_BYTES)
    throw new Fault('SHARE_INVALID', `a packed chunk of ${packed.length} bytes cannot be unpacked`);
  return bytes;
}
