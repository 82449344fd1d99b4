/**
 * Taking back what was committed: what the journal says then, and what the sequencer does about it (docs/WIRE.md 4).
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { revisionOf } from '../method/revise.ts';
import type { Entry, Hex } from '../nouns.ts';
import { Table } from '../numeric/table.ts';
import { checkRevocable, promisesOf } from '../optimizer/algebra.ts';
import { roundsIn } from './history.ts';
import { type Ledger, slotRecords } from './ledger.ts';
import { askReplica } from './rounds.ts';
import type { Claim, Finding, Member, State } from './state.ts';
import { append, put, refuse, request, type Turn } from './turn.ts';
import type { Asked, Revoking } from './wishes.ts';

/** Entries that carry out a request, none where there is nothing to do, and the records that count no more. */
export interface TakenBack {
  readonly entries: readonly Entry[];
  readonly records: number;
}

/**
 * A peer's records go, and the peer with them.
 * @throws {Fault} NOT_REVOCABLE, CONFIG_INVALID for a slot or rounds that are not there
 */
export function revocation(ledger: Ledger, { slot, from = 0, to = ledger.round, reason }: Revoking): TakenBack {
  checkRevocable(ledger.manifest);
  const peer = ledger.admitted.get(slot);
  if (peer === undefined) throw new Fault('CONFIG_INVALID', `slot ${slot}: no such peer; "murmur inspect" lists them`);
  if (from > to || to > ledger.round)
    throw new Fault('CONFIG_INVALID', `rounds ${from} to ${to}: the run has ${ledger.round}; name some of them`);
  const rounds = roundsIn(ledger.past).slice(from, to);
  const records = slotRecords(rounds).get(slot) ?? 0;
  const evict: Entry[] = peer.evicted ? [] : [{ type: 'evict', slot, reason }];
  return { entries: records > 0 ? [...evict, { type: 'revoke', slot, from, to }] : evict, records };
}

/** @throws {Fault} CONFIG_INVALID for a round that is not there */
export function rewinding(ledger: Ledger, round: number): TakenBack {
  if (round > ledger.round)
    throw new Fault('CONFIG_INVALID', `round ${round}: the run has ${ledger.round}; name how many are to stay`);
  const dropped = [...slotRecords(roundsIn(ledger.past).slice(round)).values()];
  const records = dropped.reduce((sum, count) => sum + count, 0);
  return { entries: round < ledger.round ? [{ type: 'rewind', round }] : [], records };
}

/** @throws {Fault} what cannot be */
function takenBack({ ledger }: Turn, asked: Asked): TakenBack {
  if (asked.type === 'revoke') return revocation(ledger, asked);
  if (!promisesOf(ledger.manifest).revocable.holds)
    throw new Fault('NOT_NOW', 'replicas of this run go back by starting anew: stop the host, rewind, and go on');
  return rewinding(ledger, asked.round);
}

/** When something may be taken back. No round opens while it is asked for. */
export const isBetweenRounds = ({ attempt, merging, finished }: State): boolean =>
  attempt === undefined && !merging && !finished;

/** Does what was asked for, between two rounds. */
export function takeBack(draft: Turn): void {
  const { asked } = draft;
  draft.asked = [];
  for (const one of asked)
    try {
      const { entries, records } = takenBack(draft, one);
      for (const entry of entries) carryOut(draft, entry);
      const slot = one.type === 'revoke' ? { slot: one.slot } : {};
      const granted = { round: draft.ledger.round, records, ...slot };
      draft.effects.push({ type: 'answer', answered: { id: one.id, granted } });
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      const refusal = { code: error.code, detail: error.detail };
      draft.effects.push({ type: 'answer', answered: { id: one.id, refusal } });
    }
}

function carryOut(draft: Turn, entry: Entry): void {
  const { ledger: before } = draft;
  if (entry.type === 'evict') {
    const { channel } = draft.members.get(entry.slot)!;
    if (channel !== undefined) refuse(draft, channel, 'EVICTED', entry.reason);
    put(draft, { ...draft.members.get(entry.slot)!, status: 'evicted' });
  }
  append(draft, entry);
  if (entry.type !== 'revoke' && entry.type !== 'rewind') return;
  const { manifest, round, past } = draft.ledger;
  const revision = revisionOf(manifest, roundsIn(before.past), roundsIn(past));
  if (revision !== undefined) draft.effects.push({ type: 'revise', revision });
  draft.revisions++;
  draft.furthest = Math.max(draft.furthest, before.round);
  const firm = entry.type === 'revoke' ? entry.from : round;
  draft.applied = Math.min(draft.applied, firm);
  draft.saved = Math.min(draft.saved, firm);
  draft.former = withFormer(
    draft,
    [...draft.own].filter(([at]) => at > firm),
  );
  draft.own = Table.of([...draft.own].filter(([at]) => at <= firm));
  const records = slotRecords(roundsIn(past));
  for (const member of draft.members.values()) put(draft, wound(member, round, records.get(member.slot) ?? 0));
  draft.phase = 'waiting';
  askReplica(draft);
  const isAsked = draft.effects.some(({ type }) => type === 'root');
  // The weights as they are now, in the journal.
  if (!isAsked && round > 0 && !draft.ledger.digests.has(round)) request(draft, 'root');
}

/** A member as it stands after `round` rounds. */
const wound = (member: Member, round: number, records: number): Member => ({
  ...member,
  records,
  worked: Math.min(member.worked, round - 1),
  since: Math.min(member.since, round),
  confirmed: Math.min(member.confirmed, round),
});

const withFormer = (
  { former }: Pick<State, 'former'>,
  found: Iterable<readonly [number, Hex]>,
): Map<number, readonly Hex[]> => {
  const next = new Map(former);
  for (const [round, checksum] of found) next.set(round, [...(next.get(round) ?? []), checksum]);
  return next;
};

/** Whether what the host's replica found out is of weights that are no more. */
export const isStale = ({ revisions, ledger }: Turn, { round, revisions: of = 0 }: Finding): boolean =>
  of < revisions && round > ledger.firm;

/** A checksum of weights that are no more, which peers may have told too. */
export function keepFormer(draft: Turn, round: number, checksum: Hex): void {
  draft.former = withFormer(draft, [[round, checksum]]);
}

/**
 * Whether a peer's checksum is the host's: undefined while the host's is not known. One that was right before something was
 * taken back was right: it was under way, or its peer has not heard yet.
 */
export function isRight({ own, former }: Turn, { round, checksum }: Claim): boolean | undefined {
  if (former.get(round)?.includes(checksum)) return true;
  const known = own.get(round);
  return known === undefined ? undefined : known === checksum;
}
