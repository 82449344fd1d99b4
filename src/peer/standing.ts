/**
 * Where a journal stands at the end of a round, and all that must be known of it to go on from there: who joins a long run
 * reads this and the records behind it, never the whole history. The coordinator signs its hash (a `standing` record),
 * and whoever has the history checks that it is what that leads to.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { roundCodec } from '../journal/entries.ts';
import { hold, NO_HOLDERS } from '../journal/holders.ts';
import { encodeManifest, manifestCodec } from '../journal/manifest.ts';
import { type JournalRecord, MOVES_WEIGHTS, type Position } from '../journal/reader.ts';
import type { Manifest, Round } from '../nouns.ts';
import { equalBytes, toHex } from '../numeric/bytes.ts';
import { type Codec, decode, encode, f64, fixed, list, struct, unsigned, varint } from '../numeric/codec.ts';
import { Table } from '../numeric/table.ts';
import { text } from '../numeric/text.ts';
import { windowOf } from '../optimizer/steps.ts';
import type { Crypto } from '../ports.ts';
import { MAX_NAME_BYTES } from '../wire/limits.ts';
import { type Past, roundsIn, withRound } from './history.ts';
import { type Admitted, extend, type Ledger } from './ledger.ts';

/** A position right behind a record that moved the weights, or the manifest. */
export interface Standing {
  readonly position: Position;
  readonly ledger: Ledger;
}

/** Rounds before it that later steps look back on, as they count: `recentOf`. */
export function recentIn({ manifest, past }: Ledger): readonly Round[] {
  const window = windowOf(manifest) - 1;
  return window === 0 ? [] : roundsIn(past).slice(-window);
}

type Sha256 = Pick<Crypto, 'sha256'>;

/** Behind the manifest, which is the first record. */
export function standingAt(first: JournalRecord, { sha256 }: Sha256): Standing {
  const { entry, bytes, offset, hash } = first;
  if (entry.type !== 'manifest') throw new RangeError(`"first" expected the manifest, got ${entry.type}`);
  const run = sha256(encodeManifest(entry.manifest));
  const length = offset + bytes.length;
  const ledger = extend(undefined, entry);
  return { position: positionOf(ledger, { index: 1, length, run, head: hash, anchor: hash }), ledger };
}

/** The place in the chain, and what the records before it say together: `rules.ts` of the journal. */
function positionOf({ manifest, round, admitted }: Ledger, at: Omit<Position, 'state'>): Position {
  const all = [...admitted.values()].map((each) => ({ ...each, key: toHex(each.key) }));
  const present = all.filter(({ evicted }) => !evicted);
  return {
    ...at,
    state: {
      manifest,
      rounds: round,
      members: Table.of(present.map(({ slot, key, name }) => [slot, { key, name }] as const)),
      holders: present.reduce((holders, { key, slot }) => hold(holders, key, slot), NO_HOLDERS),
      evicted: new Set(all.filter(({ evicted }) => evicted).map(({ slot }) => slot)),
      nextSlot: Math.max(-1, ...admitted.keys()) + 1,
    },
  };
}

/**
 * Goes on to where weights after `round` rounds were last made: by the round, or by taking something back.
 * @param records of the journal from `standing` on, at least to there.
 * @throws {RangeError} where there is no such place
 */
export function standingAfter(standing: Standing, records: Iterable<JournalRecord>, round: number): Standing {
  let { ledger } = standing;
  let found: { readonly record?: JournalRecord; readonly ledger: Ledger } | undefined;
  if (ledger.round === round) found = { ledger };
  for (const record of records) {
    ledger = extend(ledger, record.entry);
    if (!MOVES_WEIGHTS.has(record.entry.type)) continue;
    if (ledger.round === round) found = { record, ledger };
    else if (ledger.round < round) found = undefined; // rewound
  }
  if (found === undefined) throw new RangeError(`"round" expected one that is in the records, got ${round}`);
  if (found.record === undefined) return standing;
  const { index, offset, bytes, hash } = found.record;
  const { run } = standing.position;
  const at = { index: index + 1, length: offset + bytes.length, run, head: hash, anchor: hash };
  return { position: positionOf(found.ledger, at), ledger: found.ledger };
}

/** Bytes of the standing that a record says there was after a round; undefined where none does. */
export function standingOf(records: readonly JournalRecord[], round: number, crypto: Sha256): Uint8Array | undefined {
  if (records[0] === undefined || round === 0) return undefined;
  const bytes = encodeStanding(standingAfter(standingAt(records[0], crypto), records.slice(1), round));
  return isSigned(bytes, round, records, crypto) ? bytes : undefined;
}

// ---------------------------------------------------------------------------------------------------------- as bytes

/** Of the window that the byte scale follows: `numeric/scale.ts`. */
const MAX_WINDOW_ROUNDS = 1024;
const MAX_CODES = 65_536;

interface Written {
  readonly round: number;
  readonly index: number;
  readonly length: number;
  readonly head: Uint8Array;
  readonly admitted: readonly (Omit<Admitted, 'evicted'> & { readonly evicted: number })[];
  readonly scale: number;
  readonly window: readonly (readonly number[])[];
  readonly square: readonly { readonly value: number; readonly left: number }[];
  readonly recent: readonly Round[];
  readonly manifest: Manifest;
}

const u32 = varint();
const u53 = varint(Number.MAX_SAFE_INTEGER);

const codec: Codec<Written> = struct<Written>({
  ...{ round: u32, index: u32, length: u53, head: fixed(32) },
  admitted: list(struct({ slot: u32, key: fixed(32), name: text(MAX_NAME_BYTES), evicted: unsigned(1) }), 0xffff_ffff),
  scale: u53,
  window: list(list(u53, MAX_CODES), MAX_WINDOW_ROUNDS),
  square: list(struct({ value: f64, left: f64 }), 1),
  recent: list(roundCodec, MAX_WINDOW_ROUNDS),
  manifest: manifestCodec,
});

export function encodeStanding({ position, ledger }: Standing): Uint8Array {
  const { manifest, round, scale, admitted } = ledger;
  const { index, length, head } = position;
  const written: Written = {
    ...{ round, index, length, head },
    admitted: [...admitted.values()].map(({ slot, key, name, evicted }) => ({ slot, key, name, evicted: +evicted })),
    ...{ scale: scale.scale, window: scale.window, square: scale.square ? [scale.square] : [] },
    ...{ recent: recentIn(ledger), manifest },
  };
  return encode(codec, written, 'standing');
}

/**
 * Nobody has signed these bytes: `isSigned` tells whether they are what a record says.
 * @param run the run id that the manifest must have. @throws {Fault} JOURNAL_CORRUPT, JOURNAL_FOREIGN
 */
export function decodeStanding(bytes: Uint8Array, run: Uint8Array, { sha256 }: Sha256): Standing {
  const found = decode(codec, bytes, 'the standing of the journal', 'JOURNAL_CORRUPT');
  const { manifest, round, index, length, head, recent, square } = found;
  if (!equalBytes(sha256(encodeManifest(manifest)), run))
    throw new Fault('JOURNAL_FOREIGN', `the standing of the journal is of another run, expected ${toHex(run)}`);
  const start = extend(undefined, { type: 'manifest', manifest });
  const last = { scale: found.scale, window: found.window, ...(square[0] ? { square: square[0] } : {}) };
  const origin = { round, scale: { ...start.scale, ...last } };
  const ledger: Ledger = {
    ...{ ...start, ...origin, origin },
    past: recent.reduce<Past | undefined>(withRound, undefined),
    admitted: Table.of(found.admitted.map((each) => [each.slot, { ...each, evicted: each.evicted !== 0 }] as const)),
  };
  return { position: positionOf(ledger, { index, length, run, head, anchor: head }), ledger };
}

/** Whether one of these records, which are signed, says that the journal stood so. @param bytes `encodeStanding` */
export function isSigned(bytes: Uint8Array, round: number, records: readonly JournalRecord[], crypto: Sha256): boolean {
  const hash = crypto.sha256(bytes);
  return records.some(
    ({ entry }) => entry.type === 'standing' && entry.round === round && equalBytes(entry.hash, hash),
  );
}

/**
 * Checks every `standing` record against the history, as records come.
 * @param start of what comes. @throws {Fault} (from what it returns) HEADER_WRONG where a record says something else
 */
export function standingChecker(start: Standing, crypto: Sha256): (record: JournalRecord) => void {
  let last = start;
  let since: JournalRecord[] = [];
  return (record) => {
    const { entry, index } = record;
    since.push(record);
    if (entry.type === 'rewind' && entry.round < last.ledger.round) {
      last = standingAfter(last, since, entry.round);
      since = [];
    }
    // What was signed before the place where this reader began is not its to check.
    if (entry.type !== 'standing' || entry.round < last.ledger.round) return;
    last = standingAfter(last, since, entry.round);
    since = since.filter((later) => later.index >= last.position.index);
    if (equalBytes(crypto.sha256(encodeStanding(last)), entry.hash)) return;
    const detail = `record ${index} says that the journal stood otherwise after round ${entry.round}; do not trust this run`;
    throw new Fault('HEADER_WRONG', detail);
  };
}

/** As `standingChecker`, of a whole journal. @throws {Fault} HEADER_WRONG */
export function checkStandings(records: readonly JournalRecord[], crypto: Sha256): void {
  const [first, ...rest] = records;
  if (first === undefined || !rest.some(({ entry }) => entry.type === 'standing')) return;
  const check = standingChecker(standingAt(first, crypto), crypto);
  for (const record of rest) check(record);
}
