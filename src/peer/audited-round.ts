/**
 * What audits do to a round that closes: which deliveries it takes, what goes on the record before it, and who gets a
 * strike after it.
 *
 * @module
 */
import type { Audit, Entry, Segment } from '../nouns.ts';
import { chosenClaim } from '../numeric/audit.ts';
import { type AuditBook, type Doubt, EMPTY_BOOK, groupsAmong, judge } from './audit.ts';
import type { Share } from './state.ts';
import { append, evict, MAX_STRIKES, put, refuse, type Turn } from './turn.ts';

/**
 * Peers that must have contradicted a key before it is evicted, where there are so many others: fewer that lie together
 * can put strikes on an honest peer, and never evict it.
 */
const WITNESSES = 4;

/** Deliveries as they are committed, and the audits that say why. */
export interface Settled {
  readonly segments: readonly Segment[];
  readonly audits: readonly Audit[];
}

/** @param delivered in any order. Ranges of one group begin with the same record. */
export function settleGroups(round: number, delivered: readonly Segment[]): Settled {
  const groups = groupsAmong(delivered);
  const audits = groups
    .filter((group) => group.length > 1)
    .map((group): Audit => {
      const claims = group.map(({ slot, codes }) => ({ slot, codes }));
      return { round, from: group[0]!.from, claims };
    })
    .sort((a, b) => a.from - b.from);
  const segments = groups.map((group): Segment => {
    const { slot, codes } = group.length > 1 ? chosenClaim(group) : group[0]!;
    return { slot, from: group[0]!.from, codes };
  });
  return { segments: segments.sort((a, b) => a.from - b.from || a.slot - b.slot), audits };
}

/** Different records among deliveries: those of a group count once. */
export const differentRecords = (delivered: readonly Share[]): number =>
  groupsAmong(delivered)
    .map((group) => Math.max(...group.map(({ codes }) => codes?.length ?? 0)))
    .reduce((sum, count) => sum + count, 0);

/** Whether a key has been contradicted often enough, and by enough others. @param others peers there are besides it */
const isConvicted = ({ rounds, witnesses }: Doubt, others: number): boolean =>
  rounds.length >= MAX_STRIKES && witnesses.length >= Math.min(WITNESSES, others);

/** After the round is on the record: strikes, and evictions. */
export function holdToAccount(draft: Turn, audits: readonly Audit[]): void {
  const { forward_precision } = draft.ledger.manifest;
  for (const audit of audits) {
    const { book, failed } = judge(draft.audits, audit, forward_precision);
    draft.audits = book;
    if (failed === undefined) continue;
    const member = draft.members.get(failed)!;
    const doubt = book.doubts.get(failed)!;
    if (member.channel !== undefined)
      refuse(
        draft,
        member.channel,
        'AUDIT_FAILED',
        `two others measured other codes in round ${audit.round}; check the device with "murmur doctor"`,
      );
    const others = [...draft.members.values()].filter(({ slot, status }) => slot !== failed && status !== 'evicted');
    put(draft, {
      ...draft.members.get(failed)!,
      strikes: Math.max(member.strikes, doubt.rounds.length),
      status: 'gone',
    });
    if (!isConvicted(doubt, others.length)) continue;
    const { rounds, witnesses } = doubt;
    evict(draft, failed, `AUDIT_FAILED: rounds ${listed(rounds)}, contradicted by slots ${listed(witnesses)}`);
  }
}

/** A reason fits into its record. */
const listed = (numbers: readonly number[]): string =>
  numbers.length > 8 ? `${numbers.slice(0, 8).join(', ')} and ${numbers.length - 8} more` : numbers.join(', ');

/** Puts the audits on the record; the round must follow. */
export function recordAudits(draft: Turn, audits: readonly Audit[]): void {
  for (const audit of audits) append(draft, { type: 'audit', audit });
}

/** What voids audits whose round has not come (`journal/rules.ts`). */
const VOIDS: ReadonlySet<Entry['type']> = new Set(['evict', 'revoke', 'rewind']);

/** The book of a run, from its journal. */
export function bookOf(entries: readonly Entry[]): AuditBook {
  const [first] = entries;
  if (first?.type !== 'manifest') return EMPTY_BOOK;
  let waiting: Audit[] = [];
  let book = EMPTY_BOOK;
  for (const entry of entries) {
    if (entry.type === 'audit') waiting = [...waiting.filter(({ from }) => from !== entry.audit.from), entry.audit];
    if (VOIDS.has(entry.type)) waiting = [];
    if (entry.type !== 'round') continue;
    for (const audit of waiting) book = judge(book, audit, first.manifest.forward_precision).book;
    waiting = [];
  }
  return book;
}

/** Claims of audits whose round is not on the record: a host died in between, and the round takes them as they are. */
export function claimsOf(entries: readonly Entry[]): readonly (Segment & { readonly round: number })[] {
  const last = entries.findLastIndex(({ type }) => type === 'round' || VOIDS.has(type));
  return entries.slice(last + 1).flatMap((entry) => {
    if (entry.type !== 'audit') return [];
    const { round, from, claims } = entry.audit;
    return claims.map(({ slot, codes }) => ({ round, slot, from, codes }));
  });
}
