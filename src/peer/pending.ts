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

const length = unsigned(4);
const u32 = varint();
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

/** All that can be read; the rest was torn. */
export function readKept(bytes: Uint8Array): Kept[] {
  const reader = new Reader(bytes, 'JOURNAL_TORN');
  const kept: Kept[] = [];
  try {
    while (reader.left > 0)
      kept.push(decode(body, reader.take(length.read(reader, 'length'), 'kept'), 'kept', 'JOURNAL_TORN'));
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
  }
  return kept;
}
