/**
 * Messages ⇄ frames: a type byte, then the fields in the order of these tables (docs/WIRE.md 2). Peers' types are
 * below 0x80 and hosts' above, so that a frame sent to the wrong side is refused and not misread.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { type HostMessage, MAX_CHUNKS, MAX_RECORDS_PER_ROUND, MAX_SHARES, type PeerMessage } from '../nouns.ts';
import {
  type Codec,
  decode,
  encode,
  f64,
  fixed,
  list,
  rest,
  restCodes,
  struct,
  tagged,
  unsigned,
  varint,
} from '../numeric/codec.ts';
import { text } from '../numeric/text.ts';
import {
  MAX_DETAIL_BYTES,
  MAX_FAULT_CODE_BYTES,
  MAX_HOST_FRAME_BYTES,
  MAX_JOIN_CODE_BYTES,
  MAX_NAME_BYTES,
  MAX_PEER_FRAME_BYTES,
  MAX_WANTED,
  PROTOCOL_VERSION,
} from './limits.ts';

const u16 = unsigned(2);
const u32 = varint();
const offset = varint(Number.MAX_SAFE_INTEGER);
const name = text(MAX_NAME_BYTES);
const key = fixed(32);
const hash = fixed(32);
const signature = fixed(64);
const checksum = fixed(8);

/** The same both ways but for the direction, which is the first bit of the type. */
const want = { hashes: list(hash, MAX_WANTED) };
const chunk = { hash, packed: rest };

/** The type and version of `hello` stay at bytes 0 to 2 in every version of the protocol. */
const HELLO = 0x01;

const peerCodec: Codec<PeerMessage> = tagged<PeerMessage>({
  hello: [HELLO, { version: u16, key, code: text(MAX_JOIN_CODE_BYTES), name }],
  prove: [0x02, { signature }],
  ready: [0x03, { round: u32, checksum }],
  contribution: [0x04, { round: u32, from: u32, signature, codes: restCodes(1, MAX_RECORDS_PER_ROUND) }],
  checksum: [0x05, { round: u32, checksum }],
  want: [0x06, want],
  chunk: [0x07, chunk],
  summed: [0x08, { round: u32, attempt: u32, squares: list(f64, MAX_CHUNKS), refused: list(u32, MAX_SHARES) }],
  settled: [0x09, { round: u32, attempt: u32, hashes: list(hash, MAX_CHUNKS) }],
});

const hostCodec: Codec<HostMessage> = tagged<HostMessage>({
  challenge: [0x81, { nonce: fixed(32), run: hash }],
  admitted: [0x82, { slot: u32, head: u32 }],
  open: [0x83, { round: u32, from: u32, count: u32, deadlineMs: u32 }],
  commit: [0x84, { offset, record: rest }],
  receipt: [0x85, { round: u32, from: u32, count: u32, signature }],
  refused: [0x86, { code: text(MAX_FAULT_CODE_BYTES), detail: text(MAX_DETAIL_BYTES) }],
  done: [0x87, { round: u32 }],
  want: [0x88, want],
  chunk: [0x89, chunk],
  sum: [
    0x8a,
    {
      round: u32,
      attempt: u32,
      shares: list(struct({ slot: u32, count: u32 }), MAX_SHARES),
      parts: list(struct({ part: u32, hashes: list(hash, MAX_SHARES) }), MAX_CHUNKS),
    },
  ],
  settle: [0x8b, { round: u32, attempt: u32, norm: f64 }],
  snapshot: [0x8c, { round: u32 }],
});

const refuseLonger = (frame: Uint8Array, max: number): void => {
  if (frame.length > max) throw new Fault('FRAME_TOO_LONG', `the frame has ${frame.length} bytes, ${max} are allowed`);
};

/** @throws {RangeError} if a field is out of its limits */
export const encodePeerMessage = (message: PeerMessage): Uint8Array => encode(peerCodec, message, 'frame');

/** @throws {Fault} FRAME_TOO_LONG, FRAME_INVALID, VERSION_UNSUPPORTED */
export function decodePeerMessage(frame: Uint8Array): PeerMessage {
  refuseLonger(frame, MAX_PEER_FRAME_BYTES);
  if (frame.length >= 3 && frame[0] === HELLO) {
    const version = frame[1]! + 256 * frame[2]!;
    if (version !== PROTOCOL_VERSION) {
      const detail = `the peer speaks version ${version}, the host ${PROTOCOL_VERSION}: install the same Murmur on both`;
      throw new Fault('VERSION_UNSUPPORTED', detail);
    }
  }
  return decode(peerCodec, frame, 'frame', 'FRAME_INVALID');
}

/** @throws {RangeError} if a field is out of its limits */
export const encodeHostMessage = (message: HostMessage): Uint8Array => encode(hostCodec, message, 'frame');

/** @throws {Fault} FRAME_TOO_LONG, FRAME_INVALID */
export function decodeHostMessage(frame: Uint8Array): HostMessage {
  refuseLonger(frame, MAX_HOST_FRAME_BYTES);
  return decode(hostCodec, frame, 'frame', 'FRAME_INVALID');
}
