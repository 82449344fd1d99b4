import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { entryCodec } from '../../src/journal/entries.ts';
import { CHAIN_START, chainHash, encodeRecord, frame, journalMessage } from '../../src/journal/record.ts';
import type { Entry, HostMessage, PeerMessage } from '../../src/nouns.ts';
import { MAX_RECORD_BYTES } from '../../src/nouns.ts';
import { fromHex, toHex } from '../../src/numeric/bytes.ts';
import { decode } from '../../src/numeric/codec.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { MAX_HOST_FRAME_BYTES, MAX_PEER_FRAME_BYTES } from '../../src/wire/limits.ts';
import { decodePeerMessage, encodeHostMessage, encodePeerMessage } from '../../src/wire/messages.ts';
import { contributionMessage } from '../../src/wire/signed.ts';

const text = readFileSync(new URL('../../docs/WIRE.md', import.meta.url), 'utf8');
const bytesFrom = (first: number, length: number) => Uint8Array.from({ length }, (_, i) => first + i);
const COORDINATOR = bytesFrom(0x00, 32);
const PEER = bytesFrom(0x20, 32);

/** The bytes of a block of docs/WIRE.md: in each line up to the first wide gap. */
function example(name: string): string {
  const block = text.split(`\`\`\`hex ${name}\n`)[1]?.split('```')[0] ?? '';
  const digits = block.split('\n').map((line) => line.split(/ {2,}/)[0]!.replaceAll(' ', ''));
  return digits.join('');
}

test('docs/WIRE.md: the open', () => {
  const open: HostMessage = { type: 'open', round: 300, from: 5, count: 16, deadlineMs: 2000 };
  expect(toHex(encodeHostMessage(open))).toBe(example('open'));
});

test('docs/WIRE.md: the contribution, and what its peer signed', () => {
  const codes = Int8Array.of(12, -7, -128);
  const message = contributionMessage(bytesFrom(0x40, 32), 300, bytesFrom(0x60, 32), 5, codes);
  expect(toHex(message)).toBe(example('contribution-signed'));
  const signature = nodeCrypto.sign(PEER, message);
  const contribution: PeerMessage = { type: 'contribution', round: 300, from: 5, codes, signature };
  expect(toHex(encodePeerMessage(contribution))).toBe(example('contribution'));
  expect(decodePeerMessage(fromHex(example('contribution')))).toEqual(contribution);
});

test('docs/WIRE.md: the round record, its hash and its signature', () => {
  const entry: Entry = {
    type: 'round',
    round: {
      header: { round: 3, usable: 3, gain: 0.00025, scale: 1000, clip: 127 },
      segments: [
        { slot: 1, from: 0, codes: Int8Array.of(12, -7) },
        { slot: 0, from: 130, codes: Int8Array.of(-128, 127) },
      ],
    },
  };
  expect(toHex(encodeRecord(entry, CHAIN_START, nodeCrypto, COORDINATOR))).toBe(example('round'));
  const framed = frame(fromHex(example('round')));
  if (framed.kind !== 'whole') throw new TypeError(framed.detail);
  const hash = chainHash(nodeCrypto, CHAIN_START, framed.payload);
  expect(toHex(hash)).toBe(example('round-hash'));
  expect(decode(entryCodec, framed.payload, 'record', 'JOURNAL_CORRUPT')).toEqual(entry);
  expect(nodeCrypto.verify(nodeCrypto.publicKey(COORDINATOR), journalMessage(hash), framed.signature)).toBe(true);
});

test('docs/WIRE.md: the limits', () => {
  const limit = (name: string) => text.match(new RegExp(`\\| ${name} \\| ([0-9,]+) \\|`))?.[1]?.replaceAll(',', '');
  expect(limit('frame of a peer')).toBe(String(MAX_PEER_FRAME_BYTES));
  expect(limit('frame of a host')).toBe(String(MAX_HOST_FRAME_BYTES));
  expect(limit('journal record')).toBe(String(MAX_RECORD_BYTES));
});
