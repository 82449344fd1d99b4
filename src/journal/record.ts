/**
 * One record of the journal: framing, checksum, chain and signature (docs/WIRE.md 3).
 *
 *     length u24 @0 · check u8 @3 · crc32c u32 @4 · type u8 @8 · body @9 · signature (64)
 *
 * `length` counts from byte 8 on. `check` guards it: were it damaged unseen, a record in the middle could look like
 * the torn end of the file, and all that follows it would be cut. The checksum covers everything from byte 8 on.
 *
 *     hᵢ = SHA-256(hᵢ₋₁ · type · body),  h₋₁ = 32 zero bytes,  signature = Ed25519("murmur journal v1\0" · hᵢ)
 *
 * @module
 */
import { type Entry, MAX_RECORD_BYTES } from '../nouns.ts';
import { concatBytes } from '../numeric/bytes.ts';
import { encode, unsigned } from '../numeric/codec.ts';
import { crc32c } from '../numeric/crc32c.ts';
import { toUtf8 } from '../numeric/text.ts';
import type { Crypto } from '../ports.ts';
import { entryCodec } from './entries.ts';

/** First bytes of a journal file: a name and the format version, u16. */
export const FILE_HEADER: Uint8Array = Uint8Array.of(...toUtf8('MURMUR'), 1, 0);

/** h₋₁. */
export const CHAIN_START: Uint8Array = new Uint8Array(32);

/** Length, check and checksum. */
export const HEADER_BYTES = 8;
const SIGNATURE_BYTES = 64;
const DOMAIN = toUtf8('murmur journal v1\0');

const u24 = unsigned(3);
const u32 = unsigned(4);

/** Guards the three bytes of the length: their exclusive or, with 0xa5. Any change inside one byte changes it. */
export const lengthCheck = (length: Uint8Array): number => length.reduce((check, byte) => check ^ byte, 0xa5);

/** hᵢ from hᵢ₋₁ and the type and body of record i. */
export const chainHash = (crypto: Pick<Crypto, 'sha256'>, previous: Uint8Array, payload: Uint8Array): Uint8Array =>
  crypto.sha256(previous, payload);

/** Its signature, out of a whole record. */
export const signatureOf = (record: Uint8Array): Uint8Array => record.subarray(record.length - SIGNATURE_BYTES);

/** What the coordinator signs for a record whose chain hash is `hash`. */
export const journalMessage = (hash: Uint8Array): Uint8Array => concatBytes(DOMAIN, hash);

/**
 * @param previous the chain hash before this record. @param secret the coordinator's.
 * @throws {RangeError} if a field is out of its limits
 */
export function encodeRecord(
  entry: Entry,
  previous: Uint8Array,
  crypto: Pick<Crypto, 'sha256' | 'sign'>,
  secret: Uint8Array,
): Uint8Array {
  const payload = encode(entryCodec, entry, 'entry');
  const signature = crypto.sign(secret, journalMessage(chainHash(crypto, previous, payload)));
  const content = concatBytes(payload, signature);
  if (HEADER_BYTES + content.length > MAX_RECORD_BYTES) {
    throw new RangeError(`"entry" expected at most ${MAX_RECORD_BYTES} bytes with its frame, got ${content.length}`);
  }
  const length = encode(u24, content.length, 'length');
  const checksum = encode(u32, crc32c(content), 'crc32c');
  return concatBytes(length, Uint8Array.of(lengthCheck(length)), checksum, content);
}

export type Framed =
  /** `payload` is type and body; both are views. */
  | { readonly kind: 'whole'; readonly size: number; readonly payload: Uint8Array; readonly signature: Uint8Array }
  /** What an interrupted append leaves behind, and only at the end of a file. */
  | { readonly kind: 'torn'; readonly detail: string }
  | { readonly kind: 'damaged'; readonly detail: string };

/** The record at the front of `bytes`, which is not empty and goes on to the end of the file. */
export function frame(bytes: Uint8Array): Framed {
  if (bytes.length < HEADER_BYTES) return { kind: 'torn', detail: `has ${bytes.length} bytes of its header` };
  const length = bytes[0]! + 256 * bytes[1]! + 65_536 * bytes[2]!;
  const size = HEADER_BYTES + length;
  if (bytes[3] !== lengthCheck(bytes.subarray(0, 3))) {
    // Some file systems leave zeros where an append was interrupted.
    const kind = bytes.subarray(HEADER_BYTES).every((byte) => byte === 0) ? 'torn' : 'damaged';
    return { kind, detail: 'has a wrong length' };
  }
  if (length <= SIGNATURE_BYTES || size > MAX_RECORD_BYTES) {
    return { kind: 'damaged', detail: `has the impossible length ${length}` };
  }
  if (size > bytes.length) return { kind: 'torn', detail: `has ${bytes.length} of its ${size} bytes` };
  const content = bytes.subarray(HEADER_BYTES, size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (view.getUint32(4, true) !== crc32c(content)) {
    return { kind: size === bytes.length ? 'torn' : 'damaged', detail: 'does not match its checksum' };
  }
  const end = content.length - SIGNATURE_BYTES;
  return { kind: 'whole', size, payload: content.subarray(0, end), signature: content.subarray(end) };
}
