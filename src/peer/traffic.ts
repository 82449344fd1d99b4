/**
 * Bytes that a round puts on the wire, by the codecs that write them. Frames only: what sockets add is theirs.
 *
 * @module
 */
import { entryCodec } from '../journal/entries.ts';
import { HEADER_BYTES } from '../journal/record.ts';
import type { Manifest } from '../nouns.ts';
import { encode } from '../numeric/codec.ts';
import { scaleState } from '../numeric/scale.ts';
import { headerOf } from '../optimizer/header.ts';
import { encodeHostMessage, encodePeerMessage } from '../wire/messages.ts';

const SIGNATURE = new Uint8Array(64);

/** @param peers that share the records of a round evenly. */
export function roundBytes(
  manifest: Manifest,
  peers: number,
): { readonly 'bytes/gradients': number; readonly 'bytes/wire': number } {
  const { records_per_round: records, max_steps: round } = manifest;
  const count = Math.ceil(records / peers);
  const segments = Array.from({ length: peers }, (_, slot) => {
    const from = Math.min(records, slot * count);
    return { slot, from, codes: new Int8Array(Math.min(count, records - from)) };
  }).filter(({ codes }) => codes.length > 0);
  const header = headerOf(manifest, scaleState(manifest.initial_scale), round - 1, records);
  const payload = encode(entryCodec, { type: 'round', round: { header, segments } }, 'entry');
  const record = new Uint8Array(HEADER_BYTES + payload.length + SIGNATURE.length);
  const frames = segments.flatMap(({ from, codes }) => [
    encodeHostMessage({ type: 'open', round, from, count, deadlineMs: 30_000 }),
    encodePeerMessage({ type: 'contribution', round, from, codes, signature: SIGNATURE }),
    encodeHostMessage({ type: 'receipt', round, from, count, signature: SIGNATURE }),
    encodeHostMessage({ type: 'commit', offset: round * record.length, record }),
  ]);
  return { 'bytes/gradients': records, 'bytes/wire': frames.reduce((sum, { length }) => sum + length, 0) };
}
