/**
 * What the page knows of a run: a fold over the records of its journal, which were verified before they got here. The
 * same arithmetic as the peers' (`peer/ledger.ts`), and beside it what only people ask for.
 *
 * @module
 */
import { describe } from '../journal/describe.ts';
import { type Entry, HOST_SLOT, NO_LOSS } from '../nouns.ts';
import { extend, type Ledger } from '../peer/ledger.ts';

/** A record as the worker hands it over. */
export interface Verified {
  readonly index: number;
  readonly offset: number;
  /** Bytes of the record, frame and signature included. */
  readonly length: number;
  /** Of the chain, hexadecimal. */
  readonly hash: string;
  readonly entry: Entry;
}

type Shares = readonly (readonly [slot: number, count: number])[];

export interface RoundFacts {
  /** Rounds committed with this one. */
  readonly round: number;
  /** Gradients; steps in a run that exchanges vectors. */
  readonly records: number;
  readonly usable: number;
  readonly peers: number;
  /** Mean |slope| of the usable gradients: loss per unit of a direction. Null where no codes are. */
  readonly slope: number | null;
  /** Bytes of the record in the journal. */
  readonly bytes: number;
  /** Slots, each with what it gave: of what counts. The other facts are as the round was committed. */
  readonly shares: Shares;
}

export interface Line {
  readonly index: number;
  readonly offset: number;
  readonly length: number;
  readonly type: Entry['type'];
  readonly text: string;
  readonly hash: string;
}

export interface Book {
  readonly ledger: Ledger | undefined;
  readonly rounds: readonly RoundFacts[];
  readonly evaluations: readonly { readonly round: number; readonly metrics: Readonly<Record<string, number>> }[];
  /** Slot → gradients (or steps) in committed rounds, as far as they count. */
  readonly contributed: ReadonlyMap<number, number>;
  /** Slot → why. */
  readonly evicted: ReadonlyMap<number, string>;
  readonly lines: readonly Line[];
  /** Bytes read so far. */
  readonly length: number;
}

export const EMPTY: Book = {
  ledger: undefined,
  rounds: [],
  evaluations: [],
  contributed: new Map(),
  evicted: new Map(),
  lines: [],
  length: 0,
};

const UNIT = 2 ** 32;

type Of<T extends Entry['type']> = Extract<Entry, { readonly type: T }>;

function slopeOf({ round: { header, segments } }: Of<'round'>): number | null {
  let [sum, count] = [0, 0];
  for (const { codes } of segments)
    for (const code of codes)
      if (code !== NO_LOSS) {
        sum += Math.abs(code);
        count++;
      }
  return count === 0 ? null : (sum / count) * (header.scale / UNIT);
}

function factsOf({ entry, length }: Verified): RoundFacts | undefined {
  const shares = sharesOf(entry);
  if (entry.type === 'round') {
    const { header, segments } = entry.round;
    const records = segments.reduce((sum, { codes }) => sum + codes.length, 0);
    const { round, usable } = header;
    return { round: round + 1, records, usable, peers: segments.length, slope: slopeOf(entry), bytes: length, shares };
  }
  if (entry.type !== 'merge') return undefined;
  const { round } = entry.merge;
  const records = shares.reduce((sum, [, count]) => sum + count, 0);
  return { round: round + 1, records, usable: records, peers: shares.length, slope: null, bytes: length, shares };
}

/** Slots of a round, each with what it gave. */
function sharesOf(entry: Entry): Shares {
  if (entry.type === 'round') return entry.round.segments.map(({ slot, codes }) => [slot, codes.length]);
  return entry.type === 'merge' ? entry.merge.shares.map(({ slot, count }) => [slot, count]) : [];
}

/** What is left of rounds when an entry takes some of it back. */
function left(rounds: readonly RoundFacts[], entry: Entry): readonly RoundFacts[] {
  if (entry.type === 'rewind') return rounds.slice(0, entry.round);
  if (entry.type !== 'revoke') return rounds;
  const { slot, from, to } = entry;
  const without = ({ shares, ...facts }: RoundFacts): RoundFacts => ({
    ...facts,
    shares: shares.filter(([of]) => of !== slot),
  });
  return rounds.map((facts, i) => (i >= from && i < to ? without(facts) : facts));
}

function contributions(rounds: readonly RoundFacts[]): Map<number, number> {
  const contributed = new Map<number, number>();
  for (const { shares } of rounds)
    for (const [slot, count] of shares) contributed.set(slot, (contributed.get(slot) ?? 0) + count);
  return contributed;
}

/** The book after `records`, which follow those that it holds. @throws {Fault} HEADER_WRONG, JOURNAL_ORDER */
export function enter(book: Book, records: readonly Verified[]): Book {
  let contributed = new Map(book.contributed);
  const evicted = new Map(book.evicted);
  let rounds = [...book.rounds];
  let evaluations = [...book.evaluations];
  const lines = [...book.lines];
  let { ledger, length } = book;
  for (const record of records) {
    const { entry } = record;
    ledger = extend(ledger, entry);
    const facts = factsOf(record);
    if (facts) rounds.push(facts);
    for (const [slot, count] of facts?.shares ?? []) contributed.set(slot, (contributed.get(slot) ?? 0) + count);
    if (entry.type === 'revoke' || entry.type === 'rewind') {
      rounds = [...left(rounds, entry)];
      contributed = contributions(rounds);
    }
    if (entry.type === 'rewind') evaluations = evaluations.filter(({ round }) => round <= entry.round);
    if (entry.type === 'evict') evicted.set(entry.slot, entry.reason);
    if (entry.type === 'evaluation' && entry.slot === HOST_SLOT)
      evaluations.push({ round: entry.round, metrics: entry.metrics });
    const { index, offset, hash } = record;
    lines.push({ index, offset, length: record.length, type: entry.type, text: describe(entry), hash });
    length = offset + record.length;
  }
  return { ledger, rounds, evaluations, contributed, evicted, lines, length };
}

/** Names of the metrics of the held-out data, the loss first. */
export const metricsOf = ({ evaluations }: Book): readonly string[] =>
  [...new Set(evaluations.flatMap(({ metrics }) => Object.keys(metrics)))].sort((a, b) =>
    a === 'eval/loss' ? -1 : b === 'eval/loss' ? 1 : a < b ? -1 : 1,
  );
