/**
 * Which entry may follow which: the state of a journal as a fold over its entries. Arithmetic that the entries imply
 * (gain, scale, usable) is checked by those who know the arithmetic.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { type Entry, type Hex, HOST_SLOT, type Manifest, type Segment } from '../nouns.ts';
import { chosenClaim } from '../numeric/audit.ts';
import { toHex } from '../numeric/bytes.ts';
import { Table } from '../numeric/table.ts';
import { type Holders, hold, holdersOf, NO_HOLDERS, release } from './holders.ts';

export interface Member {
  /** Ed25519 public key. */
  readonly key: Hex;
  readonly name: string;
}

export interface JournalState {
  readonly manifest: Manifest;
  /** Rounds committed, those that were taken back not counted. */
  readonly rounds: number;
  /** Slots admitted and not evicted. */
  readonly members: Table<Member>;
  /** Their keys. */
  readonly holders: Holders;
  /** Slots evicted. */
  readonly evicted: ReadonlySet<number>;
  /** Above every slot ever admitted: slots are never used again. */
  readonly nextSlot: number;
  /** Segments that the round to come must hold, by first record: what audits on record before it imply. Absent: none. */
  readonly audited?: ReadonlyMap<number, Segment>;
}

const sameCodes = (a: Int8Array, b: Int8Array): boolean => a.length === b.length && a.every((code, i) => code === b[i]);

type Of<T extends Entry['type']> = Extract<Entry, { readonly type: T }>;
type Follow<T extends Entry['type']> = (state: JournalState, entry: Of<T>) => JournalState | string;

/** What audits said of a round that has not come: it is measured anew. */
const withoutAudits = ({ audited: _, ...state }: JournalState): JournalState => state;

/** For each type, what it makes of the state, or why it cannot stand here. */
const FOLLOW: { readonly [T in Exclude<Entry['type'], 'manifest'>]: Follow<T> } = {
  admit(state, { slot, key, name }) {
    if (slot < state.nextSlot) return `admits slot ${slot}, which has been given before`;
    if (slot >= HOST_SLOT) return `admits slot ${slot}, which is reserved`;
    const member = { key: toHex(key), name };
    const other = holdersOf(state.holders, member.key).find((other) => state.members.get(other)!.key === member.key);
    if (other !== undefined) return `admits a key that slot ${other} already has`;
    const holders = hold(state.holders, member.key, slot);
    return { ...state, members: state.members.set(slot, member), holders, nextSlot: slot + 1 };
  },

  evict(state, { slot }) {
    const member = state.members.get(slot);
    if (member === undefined) return `evicts slot ${slot}, which is not admitted`;
    const holders = release(state.holders, member.key, slot);
    const evicted = new Set(state.evicted).add(slot);
    return { ...withoutAudits(state), members: state.members.delete(slot), holders, evicted };
  },

  round(state, { round: { header, segments } }) {
    const { max_steps, records_per_round, exchange } = state.manifest;
    if (exchange) return 'commits bytes in a run that exchanges vectors';
    if (header.round !== state.rounds) return `commits round ${header.round} after ${state.rounds} rounds`;
    if (header.round >= max_steps) return `commits round ${header.round} of a run of ${max_steps} rounds`;
    let end = 0;
    for (const { slot, from, codes } of segments) {
      if (!state.members.has(slot)) return `holds codes of slot ${slot}, which is not admitted`;
      if (codes.length === 0) return `holds no codes of slot ${slot}`;
      if (from < end) return `holds records from ${from} after records up to ${end}`;
      end = from + codes.length;
    }
    if (end > records_per_round) return `holds record ${end - 1} of a round of ${records_per_round}`;
    const { audited = new Map<number, Segment>(), ...rest } = state;
    for (const [from, { slot, codes }] of audited) {
      const found = segments.find((segment) => segment.from === from);
      if (found?.slot !== slot || !sameCodes(found.codes, codes))
        return `holds other codes of records from ${from} than the audit before it gives, those of slot ${slot}`;
    }
    return { ...rest, rounds: state.rounds + 1 };
  },

  audit(state, { audit: { round, from, claims } }) {
    const { max_steps, records_per_round, exchange } = state.manifest;
    if (exchange) return 'audits bytes in a run that exchanges vectors';
    if (round !== state.rounds || round >= max_steps) return `audits round ${round} after ${state.rounds} rounds`;
    if (claims.length < 2) return `audits records of ${claims.length} peers`;
    let last = -1;
    for (const { slot, codes } of claims) {
      if (!state.members.has(slot)) return `holds a claim of slot ${slot}, which is not admitted`;
      if (slot <= last) return `holds a claim of slot ${slot} after one of slot ${last}`;
      if (codes.length === 0) return `holds an empty claim of slot ${slot}`;
      if (from + codes.length > records_per_round) return `audits records beyond a round of ${records_per_round}`;
      last = slot;
    }
    // A host that died before the round says it again.
    return { ...state, audited: new Map(state.audited).set(from, { from, ...chosenClaim(claims) }) };
  },

  merge(state, { merge: { round, shares } }) {
    const { max_steps, exchange } = state.manifest;
    if (!exchange) return 'merges vectors in a run that exchanges bytes';
    if (round !== state.rounds) return `merges round ${round} after ${state.rounds} rounds`;
    if (round >= max_steps) return `merges round ${round} of a run of ${max_steps} rounds`;
    if (shares.length === 0) return 'merges no shares';
    let last = -1;
    for (const { slot, count } of shares) {
      if (!state.members.has(slot)) return `holds a share of slot ${slot}, which is not admitted`;
      if (slot <= last) return `holds a share of slot ${slot} after one of slot ${last}`;
      if (count === 0 || count > exchange.steps) return `holds a share of ${count} steps of ${exchange.steps}`;
      last = slot;
    }
    return { ...state, rounds: state.rounds + 1 };
  },

  evaluation(state, { round, slot }) {
    if (round > state.rounds) return `evaluates round ${round} after ${state.rounds} rounds`;
    if (slot !== HOST_SLOT && !state.members.has(slot)) return `is by slot ${slot}, which is not admitted`;
    return state;
  },

  digest(state, { round }) {
    return round > state.rounds ? `is the digest of round ${round} after ${state.rounds} rounds` : state;
  },

  revoke(state, { slot, from, to }) {
    if (!state.members.has(slot) && !state.evicted.has(slot)) return `revokes slot ${slot}, which was never admitted`;
    if (from >= to) return `revokes no rounds: from ${from} to ${to}`;
    return to > state.rounds ? `revokes rounds up to ${to} after ${state.rounds} rounds` : withoutAudits(state);
  },

  rewind(state, { round }) {
    return round >= state.rounds
      ? `rewinds to round ${round} after ${state.rounds} rounds`
      : { ...withoutAudits(state), rounds: round };
  },

  standing(state, { round }) {
    return round > state.rounds ? `is the standing of round ${round} after ${state.rounds} rounds` : state;
  },
};

/**
 * The state after `entry`. `null` is the state of an empty journal.
 *
 * @param where names the record, for the fault.
 * @throws {Fault} JOURNAL_ORDER
 */
export function follow(state: JournalState | null, entry: Entry, where: string): JournalState {
  const next = ((): JournalState | string => {
    if (entry.type === 'manifest') {
      if (state !== null) return 'is a second manifest';
      const none = { members: Table.of<Member>(), holders: NO_HOLDERS, evicted: new Set<number>() };
      return { manifest: entry.manifest, rounds: 0, nextSlot: 0, ...none };
    }
    if (state === null) return `is of type ${entry.type}, but the first must be the manifest`;
    // The table's entry is for this type of entry: TypeScript forgets that when it looks it up, hence `never`.
    return (FOLLOW[entry.type] as Follow<typeof entry.type>)(state, entry as never);
  })();
  if (typeof next === 'string') throw new Fault('JOURNAL_ORDER', `${where} ${next}`);
  return next;
}
