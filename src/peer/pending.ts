/**
 * Contributions of the open round on stable storage, so that a receipt stays true if the host dies before the commit.
 * Entries follow each other, `length u32 · slot · round · from · signature · codes`; a torn one at the end was never
 * receipted. The file is private to its host and emptied with every round.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { MAX_RECORDS_PER_ROUND } from '../nouns.ts';
import { concatBytes, Reader } from '../numeric/bytes.ts';
import { decode, encode, fixed, restCodes, struct, unsigned, varint } from '../numeric/codec.ts';
import type { Kept } from './state.ts';

const LENGTH_BYTES = 4;
const length = unsigned(LENGTH_BYTES);
const u32 = varint();
/** Of an entry, without its length: three numbers, a signature, the codes. */
const MAX_BYTES = 3 * 5 + 64 + MAX_RECORDS_PER_ROUND;
const body = struct<Kept>({
  slot: u32,
  round: u32,
  from: u32,
  signature: fixed(64),
  codes: restCodes(1, MAX_RECORDS_PER_ROUND),
});

export function encodeKept(kept: Kept): Uint8Array {
  const bytes = encode(body, kept, 'kept');
  return concatBytes(encode(length, bytes.length, 'length'), bytes);
}

/**
 * All of them. The last one is left out if it is not whole, as an interrupted append leaves it.
 * @throws {Fault} JOURNAL_CORRUPT for one before it: its receipt was given
 */
export function readKept(bytes: Uint8Array): Kept[] {
  const reader = new Reader(bytes, 'JOURNAL_TORN');
  const kept: Kept[] = [];
  while (reader.left >= LENGTH_BYTES) {
    const size = length.read(reader, 'length');
    if (size > reader.left && size <= MAX_BYTES) return kept;
    try {
      kept.push(decode(body, reader.take(size, 'kept'), 'kept', 'JOURNAL_TORN'));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      if (reader.take(reader.left, 'rest').some((byte) => byte !== 0)) throw damaged(kept.length);
      return kept;
    }
  }
  return kept;
}

/** @param index of the contribution, from 0. */
export const damaged = (index: number): Fault =>
  new Fault(
    'JOURNAL_CORRUPT',
    `contribution ${index} of pending.murmur is damaged; take another copy, or delete the file: what was receipted for its round is lost then, and peers will say so`,
  );
