/**
 * Entries ⇄ the type and body of a record (docs/WIRE.md 4): one table.
 *
 * @module
 */
import {
  type Audit,
  type AuditClaim,
  type Entry,
  type Header,
  MAX_CHUNKS,
  MAX_RECORDS_PER_ROUND,
  MAX_SHARES,
  type Merge,
  type Round,
  type Segment,
  type Share,
} from '../nouns.ts';
import { type Codec, codes, f64, fixed, list, struct, tagged, unsigned, varint } from '../numeric/codec.ts';
import { text } from '../numeric/text.ts';
import { manifestCodec } from './manifest.ts';

/** Peer names: shown in one line of a terminal. */
export const MAX_NAME_BYTES = 64;
/** Why a peer was evicted: a few lines. */
export const MAX_REASON_BYTES = 512;
/** `eval/loss`, `eval/accuracy`, and whatever a task may add. */
const MAX_METRICS = 64;
const MAX_METRIC_NAME_BYTES = 64;
/** Peers of a redundancy group. */
const MAX_CLAIMS = 3;

const u32 = varint();

const header: Codec<Header> = struct<Header>({
  round: u32,
  usable: u32,
  gain: f64,
  scale: varint(Number.MAX_SAFE_INTEGER),
  clip: unsigned(1),
});

const segment: Codec<Segment> = struct<Segment>({ slot: u32, from: u32, codes: codes(1, MAX_RECORDS_PER_ROUND) });

export const roundCodec: Codec<Round> = struct<Round>({ header, segments: list(segment, MAX_RECORDS_PER_ROUND) });

const share: Codec<Share> = struct<Share>({ slot: u32, from: u32, count: u32, digest: fixed(32) });
const merge: Codec<Merge> = struct<Merge>({
  round: u32,
  shares: list(share, MAX_SHARES),
  chunks: list(fixed(32), MAX_CHUNKS),
});

const claim: Codec<AuditClaim> = struct<AuditClaim>({ slot: u32, codes: codes(1, MAX_RECORDS_PER_ROUND) });
const audit: Codec<Audit> = struct<Audit>({ round: u32, from: u32, claims: list(claim, MAX_CLAIMS) });

const metric = struct<{ name: string; value: number }>({ name: text(MAX_METRIC_NAME_BYTES), value: f64 });
const metricList = list(metric, MAX_METRICS);

/** Metrics by name, ascending by UTF-16 code units, each name once. */
const metrics: Codec<Readonly<Record<string, number>>> = {
  write(out, value, name) {
    const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    metricList.write(
      out,
      sorted.map(([key, number]) => ({ name: key, value: number })),
      name,
    );
  },
  read(from, name) {
    const items = metricList.read(from, name);
    const ascending = items.every((item, i) => i === 0 || items[i - 1]!.name < item.name);
    if (!ascending) from.fail(name, 'are not in order');
    return Object.fromEntries(items.map((item) => [item.name, item.value]));
  },
};

export const entryCodec: Codec<Entry> = tagged<Entry>({
  manifest: [1, { manifest: manifestCodec }],
  admit: [2, { slot: u32, key: fixed(32), name: text(MAX_NAME_BYTES) }],
  evict: [3, { slot: u32, reason: text(MAX_REASON_BYTES) }],
  round: [4, { round: roundCodec }],
  evaluation: [5, { round: u32, slot: u32, metrics }],
  digest: [6, { round: u32, root: fixed(32) }],
  merge: [7, { merge }],
  revoke: [8, { slot: u32, from: u32, to: u32 }],
  rewind: [9, { round: u32 }],
  audit: [10, { audit }],
  standing: [12, { round: u32, hash: fixed(32) }],
});
