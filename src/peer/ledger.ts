/**
 * What the peers of a run know from its journal: a fold over entries that were read in order and verified by
 * `journal/`. The arithmetic that the entries imply is checked here: a round with a wrong header ends the run.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Entry, Manifest, Merge, Round } from '../nouns.ts';
import { scaleState } from '../numeric/scale.ts';
import { type HeaderState, nextState } from '../optimizer/gain.ts';
import { checkHeader } from '../optimizer/header.ts';

export interface Admitted {
  readonly slot: number;
  readonly key: Uint8Array;
  readonly name: string;
  readonly evicted: boolean;
}

export interface Ledger {
  readonly manifest: Manifest;
  /** Rounds committed; also the number of the next one. */
  readonly round: number;
  /** What the next header depends on. */
  readonly scale: HeaderState;
  readonly admitted: ReadonlyMap<number, Admitted>;
  /** Round → metrics of the host's own evaluation. */
  readonly evaluated: ReadonlyMap<number, Readonly<Record<string, number>>>;
  /** Merkle roots by round. */
  readonly digests: ReadonlyMap<number, Uint8Array>;
}

type Fold<T extends Entry['type']> = (ledger: Ledger, entry: Extract<Entry, { readonly type: T }>) => Ledger;

const FOLD: { readonly [T in Exclude<Entry['type'], 'manifest'>]: Fold<T> } = {
  admit: (ledger, { slot, key, name }) => ({
    ...ledger,
    admitted: new Map(ledger.admitted).set(slot, { slot, key, name, evicted: false }),
  }),
  evict: (ledger, { slot }) => ({
    ...ledger,
    admitted: new Map(ledger.admitted).set(slot, { ...ledger.admitted.get(slot)!, evicted: true }),
  }),
  round(ledger, { round }) {
    checkHeader(ledger.manifest, ledger.scale, ledger.round, round);
    return { ...ledger, round: ledger.round + 1, scale: nextState(ledger.manifest, ledger.scale, round) };
  },
  merge: (ledger) => ({ ...ledger, round: ledger.round + 1 }),
  audit: (ledger) => ledger,
  evaluation: (ledger, { round, metrics }) => ({
    ...ledger,
    evaluated: new Map(ledger.evaluated).set(round, metrics),
  }),
  digest: (ledger, { round, root }) => ({ ...ledger, digests: new Map(ledger.digests).set(round, root) }),
};

/**
 * The ledger after `entry`. The first entry is the manifest.
 * @throws {Fault} HEADER_WRONG, JOURNAL_ORDER
 */
export function extend(ledger: Ledger | undefined, entry: Entry): Ledger {
  if (entry.type === 'manifest') {
    const { manifest } = entry;
    const scale = scaleState(manifest.initial_scale, manifest.objective !== undefined, manifest.privacy !== undefined);
    return { manifest, round: 0, scale, admitted: new Map(), evaluated: new Map(), digests: new Map() };
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

/** Merges among entries, in order. */
export const mergesOf = (entries: readonly Entry[]): Merge[] =>
  entries.flatMap((entry) => (entry.type === 'merge' ? [entry.merge] : []));

/** Rounds among entries, in order. */
export const roundsOf = (entries: readonly Entry[]): Round[] =>
  entries.flatMap((entry) => (entry.type === 'round' ? [entry.round] : []));
