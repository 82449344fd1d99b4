/**
 * Everything that is signed on the wire (journal records: src/journal/record.ts). Each starts with a tag of its own
 * that ends in a zero byte, all fields but the last have a fixed length: no two meanings share bytes.
 *
 * @module
 */
import { concatBytes } from '../numeric/bytes.ts';
import { encode, unsigned } from '../numeric/codec.ts';
import { toUtf8 } from '../numeric/text.ts';

const tag = (name: string): Uint8Array => toUtf8(`${name}\0`);
const CHALLENGE = tag('murmur challenge v1');
const CONTRIBUTION = tag('murmur contribution v1');
const RECEIPT = tag('murmur receipt v1');
const MIRROR = tag('murmur mirror v1');

const number = unsigned(4);
const u32 = (value: number, name: string): Uint8Array => encode(number, value, name);
const octets = (codes: Int8Array): Uint8Array => new Uint8Array(codes.buffer, codes.byteOffset, codes.length);

const exactly = (length: number, bytes: Uint8Array, name: string): Uint8Array => {
  if (bytes.length !== length) throw new RangeError(`"${name}" expected ${length} bytes, got ${bytes.length}`);
  return bytes;
};

/** Signed by the peer that holds `key`, to prove it to the host of `run`. All are 32 bytes. */
export function challengeMessage(nonce: Uint8Array, run: Uint8Array, key: Uint8Array): Uint8Array {
  return concatBytes(CHALLENGE, exactly(32, nonce, 'nonce'), exactly(32, run, 'run'), exactly(32, key, 'key'));
}

/**
 * Signed by a peer: its codes for records `from` … of `round`.
 *
 * @param anchor the chain hash after the record of round `round - 1`, or after the manifest: the history that the
 * codes were measured on. Both sides have it, so it is not sent.
 */
export function contributionMessage(
  run: Uint8Array,
  round: number,
  anchor: Uint8Array,
  from: number,
  codes: Int8Array,
): Uint8Array {
  const fields = [exactly(32, run, 'run'), u32(round, 'round'), exactly(32, anchor, 'anchor'), u32(from, 'from')];
  return concatBytes(CONTRIBUTION, ...fields, octets(codes));
}

/**
 * Signed by the coordinator: it has these codes of `slot`. A commit of the round without them, and without a record
 * that evicts the peer, is then proof of censorship.
 */
export function receiptMessage(
  run: Uint8Array,
  round: number,
  anchor: Uint8Array,
  slot: number,
  from: number,
  codes: Int8Array,
): Uint8Array {
  const fields = [exactly(32, run, 'run'), u32(round, 'round'), exactly(32, anchor, 'anchor'), u32(slot, 'slot')];
  return concatBytes(RECEIPT, ...fields, u32(from, 'from'), octets(codes));
}

/** Signed by a peer: it has the chunks of the snapshot of `round` at `port` of its machine. */
export const mirrorMessage = (run: Uint8Array, round: number, port: number): Uint8Array =>
  concatBytes(MIRROR, exactly(32, run, 'run'), u32(round, 'round'), u32(port, 'port'));
