import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FAULTS } from '../../src/faults.ts';
import { type HostMessage, MAX_RECORD_BYTES, MAX_RECORDS_PER_ROUND, type PeerMessage } from '../../src/nouns.ts';
import { MAX_CHUNK_BYTES } from '../../src/wire/chunks.ts';
import {
  MAX_FAULT_CODE_BYTES,
  MAX_HOST_FRAME_BYTES,
  MAX_PEER_FRAME_BYTES,
  PROTOCOL_VERSION,
} from '../../src/wire/limits.ts';
import { decodeHostMessage, decodePeerMessage, encodeHostMessage, encodePeerMessage } from '../../src/wire/messages.ts';
import { bytes, codes, text, u32 } from '../journal/arbitraries.ts';

const type = <T extends string>(name: T) => fc.constant(name);
const version = fc.constant(PROTOCOL_VERSION);
const signature = bytes(64);
const checksum = bytes(8);

const peerMessage: fc.Arbitrary<PeerMessage> = fc.oneof(
  fc.record({ type: type('hello'), version, key: bytes(32), code: text(64), name: text(64) }),
  fc.record({ type: type('prove'), signature }),
  fc.record({ type: type('ready'), round: u32, checksum }),
  fc.record({ type: type('contribution'), round: u32, from: u32, codes, signature }),
  fc.record({ type: type('checksum'), round: u32, checksum }),
);
const hostMessage: fc.Arbitrary<HostMessage> = fc.oneof(
  fc.record({ type: type('challenge'), nonce: bytes(32), run: bytes(32) }),
  fc.record({ type: type('admitted'), slot: u32, head: u32 }),
  fc.record({ type: type('open'), round: u32, from: u32, count: u32, deadlineMs: u32 }),
  fc.record({ type: type('commit'), offset: fc.maxSafeNat(), record: fc.uint8Array({ maxLength: 300 }) }),
  fc.record({ type: type('receipt'), round: u32, from: u32, count: u32, signature }),
  fc.record({ type: type('refused'), code: text(64), detail: text(512) }),
  fc.record({ type: type('done'), round: u32 }),
);

const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    expect(error).toHaveProperty('name', 'Fault');
    return (error as { code: string }).code;
  }
  return 'NONE';
};

describe.each([
  ['peer to host', peerMessage, encodePeerMessage, decodePeerMessage, decodeHostMessage],
  ['host to peer', hostMessage, encodeHostMessage, decodeHostMessage, decodePeerMessage],
] as [
  string,
  fc.Arbitrary<PeerMessage | HostMessage>,
  (m: PeerMessage | HostMessage) => Uint8Array,
  (b: Uint8Array) => PeerMessage | HostMessage,
  (b: Uint8Array) => unknown,
][])('messages from %s', (_, message, encode, decode, decodeOther) => {
  test('decode undoes encode', () => {
    fc.assert(
      fc.property(message, (value) => {
        expect(decode(encode(value))).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  test('do not alias the frame, which a socket may use again', () => {
    fc.assert(
      fc.property(message, (value) => {
        const frame = encode(value);
        const decoded = decode(frame);
        frame.fill(0xff);
        expect(decoded).toEqual(value);
      }),
    );
  });

  test('a truncated frame is refused, unless it is a shorter message of the same bytes', () => {
    fc.assert(
      fc.property(message, fc.nat(), (value, at) => {
        const frame = encode(value);
        const cut = frame.subarray(0, at % frame.length);
        const code = codeOf(() => expect(encode(decode(cut))).toEqual(cut));
        expect(['FRAME_INVALID', 'NONE']).toContain(code);
        const open = value.type === 'contribution' || value.type === 'commit';
        if (!open) expect(code).toBe('FRAME_INVALID');
      }),
      { numRuns: 500 },
    );
  });

  test('a byte too many is refused, except where a message runs to the end of its frame', () => {
    fc.assert(
      fc.property(message, fc.nat(255), (value, more) => {
        const open = value.type === 'contribution' || value.type === 'commit';
        const frame = Uint8Array.of(...encode(value), more);
        expect(codeOf(() => decode(frame))).toBe(open ? 'NONE' : 'FRAME_INVALID');
      }),
    );
  });

  test('random bytes are refused, or are the one encoding of what they decode to', () => {
    fc.assert(
      fc.property(fc.nat(8), fc.boolean(), fc.uint8Array({ maxLength: 120 }), (tag, high, rest) => {
        const frame = Uint8Array.of(high ? 0x80 + tag : tag, ...rest);
        const code = codeOf(() => expect(encode(decode(frame))).toEqual(frame));
        expect(['FRAME_INVALID', 'VERSION_UNSUPPORTED', 'NONE']).toContain(code);
      }),
      { numRuns: 3000 },
    );
  });

  test('sent to the wrong side they are refused', () => {
    fc.assert(
      fc.property(message, (value) => {
        expect(codeOf(() => decodeOther(encode(value)))).toBe('FRAME_INVALID');
      }),
    );
  });
});

describe('limits', () => {
  const signature = new Uint8Array(64);
  const most: PeerMessage = {
    type: 'contribution',
    round: 0xffff_ffff,
    from: 0xffff_ffff,
    codes: new Int8Array(MAX_RECORDS_PER_ROUND),
    signature,
  };

  test('the longest message of each side just fits', () => {
    expect(decodePeerMessage(encodePeerMessage(most))).toEqual(most);
    const packed = new Uint8Array(1 + MAX_CHUNK_BYTES);
    const chunk: PeerMessage = { type: 'chunk', hash: new Uint8Array(32), packed };
    const frame = encodePeerMessage(chunk);
    expect(frame.length).toBe(MAX_PEER_FRAME_BYTES);
    expect(decodePeerMessage(frame)).toEqual(chunk);
    const record = new Uint8Array(MAX_RECORD_BYTES);
    const commit = encodeHostMessage({ type: 'commit', offset: Number.MAX_SAFE_INTEGER, record });
    expect(commit.length).toBe(MAX_HOST_FRAME_BYTES);
    expect(decodeHostMessage(commit)).toHaveProperty('record.length', MAX_RECORD_BYTES);
  });

  test('one byte more is refused before it is looked at', () => {
    expect(codeOf(() => decodePeerMessage(new Uint8Array(MAX_PEER_FRAME_BYTES + 1)))).toBe('FRAME_TOO_LONG');
    expect(codeOf(() => decodeHostMessage(new Uint8Array(MAX_HOST_FRAME_BYTES + 1)))).toBe('FRAME_TOO_LONG');
  });

  test('a contribution holds one code to a whole round', () => {
    expect(() => encodePeerMessage({ ...most, codes: new Int8Array(MAX_RECORDS_PER_ROUND + 1) })).toThrow(RangeError);
    expect(() => encodePeerMessage({ ...most, codes: new Int8Array(0) })).toThrow(/"frame.contribution.codes.length"/);
    const none = encodePeerMessage({ ...most, codes: new Int8Array(1) }).subarray(0, -1);
    expect(() => decodePeerMessage(none)).toThrow(/frame.contribution.codes: has 0 codes, not 1 to 65536 \(byte 75\)/);
  });

  test('every fault code fits into a refusal', () => {
    for (const code of Object.keys(FAULTS)) expect(code.length).toBeLessThanOrEqual(MAX_FAULT_CODE_BYTES);
  });

  test('numbers that are padded or too large are refused', () => {
    const done = (...round: number[]) => codeOf(() => decodeHostMessage(Uint8Array.of(0x87, ...round)));
    expect(done(0xff, 0xff, 0xff, 0xff, 0x0f)).toBe('NONE');
    expect(done(0x80, 0x80, 0x80, 0x80, 0x10)).toBe('FRAME_INVALID'); // 2^32
    expect(done(0x80, 0x00)).toBe('FRAME_INVALID');
    expect(done(0xff, 0xff, 0xff, 0xff, 0xff, 0x01)).toBe('FRAME_INVALID');
    const commit = (...offset: number[]) => codeOf(() => decodeHostMessage(Uint8Array.of(0x84, ...offset)));
    expect(commit(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f)).toBe('NONE'); // 2^53 - 1
    expect(commit(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10)).toBe('FRAME_INVALID');
  });

  test('a hello of another version is told so, whatever follows it', () => {
    for (const rest of [[], [1], new Array(90).fill(7)]) {
      expect(codeOf(() => decodePeerMessage(Uint8Array.of(1, 2, 0, ...rest)))).toBe('VERSION_UNSUPPORTED');
    }
    expect(() => decodePeerMessage(Uint8Array.of(1, 0, 1))).toThrow(/the peer speaks version 256, the host 1/);
    expect(codeOf(() => decodePeerMessage(Uint8Array.of(1, 2)))).toBe('FRAME_INVALID');
  });
});
