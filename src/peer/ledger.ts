/**
 * What the peers of a run know from its journal: a fold over entries that were read in order and verified by
 * `journal/`. The arithmetic that the entries imply is checked here: a round with a wrong header ends the run.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Entry, Manifest, Merge, Round } from '../nouns.ts';
import { scaleState } from '../numeric/scale.ts';
import { Table } from '../numeric/table.ts';
import { promisesOf } from '../optimizer/algebra.ts';
import { type HeaderState, nextState } from '../optimizer/gain.ts';
import { checkHeader } from '../optimizer/header.ts';
import { firstOf, type Past, roundsIn, withoutSlot, withRound } from './history.ts';

export interface Admitted {
  readonly slot: number;
  readonly key: Uint8Array;
  readonly name: string;
  readonly evicted: boolean;
}

type Metrics = Readonly<Record<string, number>>;

export interface Ledger {
  readonly manifest: Manifest;
  /** Rounds committed and not rewound; also the number of the next one. */
  readonly round: number;
  /** Where this ledger began: at the manifest, or at a standing. What was taken back before it, it cannot follow. */
  readonly origin: { readonly round: number; readonly scale: HeaderState };
  /** These rounds, where they are of bytes. */
  readonly past: Past | undefined;
  /** Weights after this many rounds, or fewer, are what they were from the first: nothing of them was ever taken back. */
  readonly firm: number;
  /** What the next header depends on. */
  readonly scale: HeaderState;
  readonly admitted: Table<Admitted>;
  /** Round → metrics of the host's own evaluation. Of weights that were given up by a revocation or a rewind there are none. */
  readonly evaluated: Table<Metrics>;
  /** Merkle roots by round; the same holds. */
  readonly digests: Table<Uint8Array>;
}

type Fold<T extends Entry['type']> = (ledger: Ledger, entry: Extract<Entry, { readonly type: T }>) => Ledger;

const FOLD: { readonly [T in Exclude<Entry['type'], 'manifest'>]: Fold<T> } = {
  admit: (ledger, { slot, key, name }) => ({
    ...ledger,
    admitted: ledger.admitted.set(slot, { slot, key, name, evicted: false }),
  }),
  evict: (ledger, { slot }) => ({
    ...ledger,
    admitted: ledger.admitted.set(slot, { ...ledger.admitted.get(slot)!, evicted: true }),
  }),
  round(ledger, { round }) {
    checkHeader(ledger.manifest, ledger.scale, ledger.round, round);
    const scale = nextState(ledger.manifest, ledger.scale, round);
    return { ...ledger, round: ledger.round + 1, past: withRound(ledger.past, round), scale };
  },
  merge: (ledger) => ({ ...ledger, round: ledger.round + 1 }),
  audit: (ledger) => ledger,
  evaluation: (ledger, { round, metrics }) => ({
    ...ledger,
    evaluated: ledger.evaluated.set(round, metrics),
  }),
  digest: (ledger, { round, root }) => ({ ...ledger, digests: ledger.digests.set(round, root) }),
  standing: (ledger) => ledger, // checked by whoever has the records: `standing.ts`
  revoke(ledger, revocation) {
    const { revocable } = promisesOf(ledger.manifest);
    if (!revocable.holds)
      throw new Fault(
        'JOURNAL_ORDER',
        `slot ${revocation.slot} is revoked, but ${revocable.why}; do not trust this run`,
      );
    return { ...upTo(ledger, revocation.from), past: withoutSlot(ledger.past, revocation) };
  },
  rewind(ledger, { round }) {
    const { manifest, origin } = ledger;
    const past = firstOf(ledger.past, round);
    const scale = roundsIn(past, 'committed')
      .filter(({ header }) => header.round >= origin.round)
      .reduce((state, each) => nextState(manifest, state, each), origin.scale);
    return { ...upTo(ledger, round), round, past, scale };
  },
};

/** Without what was found out about weights after more than `round` rounds. */
function upTo(ledger: Ledger, round: number): Ledger {
  const { evaluated, digests, firm } = ledger;
  const until = <T extends {}>(found: Table<T>): Table<T> => Table.of([...found].filter(([at]) => at <= round));
  return { ...ledger, evaluated: until(evaluated), digests: until(digests), firm: Math.min(firm, round) };
}

/** What the first header depends on. */
const start = ({ initial_scale, objective, privacy }: Manifest): HeaderState =>
  scaleState(initial_scale, objective !== undefined, privacy !== undefined);

/**
 * The ledger after `entry`. The first entry is the manifest.
 * @throws {Fault} HEADER_WRONG, JOURNAL_ORDER
 */
export function extend(ledger: Ledger | undefined, entry: Entry): Ledger {
  if (entry.type === 'manifest') {
    const { manifest } = entry;
    const none = {
      past: undefined,
      admitted: Table.of<Admitted>(),
      evaluated: Table.of<Metrics>(),
      digests: Table.of<Uint8Array>(),
    };
    const origin = { round: 0, scale: start(manifest) };
    return { manifest, ...origin, origin, firm: Number.POSITIVE_INFINITY, ...none };
  }
  if (ledger === undefined) throw new Fault('JOURNAL_ORDER', `the journal begins with ${entry.type}, not a manifest`);
  // The table's entry is for this type of entry: TypeScript forgets that when it looks it up, hence `never`.
  return (FOLD[entry.type] as Fold<typeof entry.type>)(ledger, entry as never);
}

/** @throws {Fault} HEADER_WRONG, JOURNAL_ORDER */
export function ledgerOf(entries: readonly Entry[]): Ledger {
  let ledger: Ledger | undefined;
  for (const entry of entries) ledger = extend(ledger, entry);
  if (ledger === undefined) throw new Fault('JOURNAL_ORDER', 'the journal is empty');
  return ledger;
}

/** Merges among entries that count, in order. */
export function mergesOf(entries: readonly Entry[]): Merge[] {
  const merges: Merge[] = [];
  for (const entry of entries)
    if (entry.type === 'merge') merges.push(entry.merge);
    else if (entry.type === 'rewind') merges.splice(entry.round);
  return merges;
}

/** Rounds among entries that count, in order, and of them what counts: without revoked records. */
export function roundsOf(entries: readonly Entry[]): Round[] {
  let past: Past | undefined;
  for (const entry of entries)
    if (entry.type === 'round') past = withRound(past, entry.round);
    else if (entry.type === 'revoke') past = withoutSlot(past, entry);
    else if (entry.type === 'rewind') past = firstOf(past, entry.round);
  return roundsIn(past);
}

/** Slot → records in these rounds. */
export function slotRecords(rounds: readonly Round[]): Map<number, number> {
  const records = new Map<number, number>();
  for (const { segments } of rounds)
    for (const { slot, codes } of segments) records.set(slot, (records.get(slot) ?? 0) + codes.length);
  return records;
}
