/**
 * The life of a round: opened, closed, committed; and what follows from a state alone, without any event.
 *
 * @module
 */
import { isPipelined } from '../method/exchange.ts';
import type { Segment } from '../nouns.ts';
import { codeSums } from '../optimizer/gain.ts';
import { headerOf, usableCodes } from '../optimizer/header.ts';
import { decodeOffer } from '../wire/chunks.ts';
import { assign, assignSteps, type Range } from './assignment.ts';
import { attemptOf } from './attempt.ts';
import { assignAudited } from './audit.ts';
import { differentRecords, holdToAccount, recordAudits, settleGroups } from './audited-round.ts';
import type { Ledger } from './ledger.ts';
import { lateRate, patience, roundSpan, turnSpan } from './pace.ts';
import type { Attempt, Member, Share } from './state.ts';
import { append, finish, followers, put, refuse, request, send, type Turn } from './turn.ts';

/**
 * After the end the host stays for peers that were here a moment ago: the first few attempts of a reconnection, and all
 * attempts of a peer that has the last round.
 */
const LINGER_MS = 5000;
/** And for one that is here and still reads the journal, or opens the model, or waits for a chunk: it says nothing meanwhile. */
const JOINING_MS = 30_000;
/** For a goodbye: until then it may not have heard that the run is done. */
const GOODBYE_MS = 5000;

/** Attempts at one round whose late answers are told from offences: who answers later than that was frozen. */
const MAX_LAPSED = 8;

/** Everything that follows from the state alone: commit, open, stop. Runs after every event. */
export function settle(draft: Turn): void {
  if (draft.finished) return;
  if (draft.phase === 'done') {
    linger(draft);
    return;
  }
  if (draft.attempt !== undefined) closeRound(draft);
  if (draft.finished || draft.attempt !== undefined || draft.merging) return;
  if (draft.asked.length > 0) return;
  if (draft.stopping) {
    if (draft.pending > 0 || draft.applied < draft.ledger.round) return;
    const { round, digests } = draft.ledger;
    if (round > 0 && !digests.has(round)) {
      request(draft, 'root');
      return;
    }
    for (const channel of followers(draft))
      draft.effects.push({
        type: 'close',
        channel,
        code: 'INTERRUPTED',
        detail: 'the host was stopped; it can resume',
      });
    finish(draft, 'stopped', '');
    return;
  }
  if (draft.ledger.round < draft.ledger.manifest.max_steps) openRound(draft);
}

/**
 * Whether a connected peer needs nothing more of the host. What it has heard of the journal makes the weights of a run
 * that exchanges bytes; of one that exchanges vectors it makes them with the last merge, which only the host can bring.
 */
export function hasAll({ ledger: { manifest } }: Turn, { status, confirmed }: Member): boolean {
  if (manifest.exchange && confirmed < manifest.max_steps) return false;
  return status === 'ready' || status === 'late';
}

export function tellDone(draft: Turn, member: Member): void {
  send(draft, member.channel!, { type: 'done', round: draft.ledger.round });
  put(draft, { ...member, told: true, seen: draft.now });
}

/** Until when the host stays for a peer after the end; undefined if it need not. */
function stayFor(draft: Turn, member: Member): number | undefined {
  const { told, status, seen, channel } = member;
  if (status === 'evicted' || (told && channel === undefined)) return undefined;
  const here = told ? GOODBYE_MS : JOINING_MS;
  const end = channel === undefined ? Math.max(seen + LINGER_MS, draft.returnUntil) : seen + here;
  return end > draft.now ? end : undefined;
}

/** Finishes when everybody knows, but for those who have been away too long. Looks at one of them for as long as it can. */
function linger(draft: Turn): void {
  const known = draft.awaited === undefined ? undefined : draft.members.get(draft.awaited);
  const awaits = (member: Member): boolean => stayFor(draft, member) !== undefined;
  const one = known && awaits(known) ? known : [...draft.members.values()].find(awaits);
  draft.awaited = one?.slot;
  if (draft.stopping || one === undefined) finish(draft, 'done', '');
  else draft.effects.push({ type: 'wake', at: stayFor(draft, one)! });
}

/** The first round waits for company; after it, nobody's death may stop the others. */
const peersNeeded = ({ ledger, rules, now, gatherUntil }: Turn): number =>
  ledger.round === 0 || now < gatherUntil ? Math.max(1, rules.minPeers) : 1;

function openRound(draft: Turn): void {
  if (draft.ready < peersNeeded(draft)) {
    draft.phase = 'waiting';
    if (draft.now < draft.gatherUntil) draft.effects.push({ type: 'wake', at: draft.gatherUntil });
    return;
  }
  draft.gatherUntil = draft.now;
  const ready = [...draft.members.values()].filter(({ status }) => status === 'ready');
  const { exchange, records_per_round } = draft.ledger.manifest;
  const steps = exchange && (isPipelined(exchange) ? 1 : exchange.steps);
  const ranges = steps !== undefined ? assignSteps(ready, steps) : rangesOf(draft, ready, records_per_round);
  if (ranges.length === 0) {
    // All who are here came by invites whose part is less than one record.
    draft.phase = 'waiting';
    return;
  }
  draft.effects.push({ type: 'forget' });
  draft.phase = 'measuring';
  const shares = ranges.map((range): Share => ({ ...range, codes: undefined, given: 0 }));
  draft.attempt = attemptOf(draft.now, shares, draft.members);
  const span = renewSpan(draft);
  for (const range of ranges) {
    const member = draft.members.get(range.slot)!;
    put(draft, { ...member, worked: draft.ledger.round });
    open(draft, member.channel!, range);
  }
  draft.effects.push({ type: 'wake', at: draft.now + patience(0, span).next });
}

/** Who measures which records, some of them several times where the host audits. */
function rangesOf({ rules: { audit }, ledger }: Turn, ready: readonly Member[], records: number): Range[] {
  return audit ? assignAudited(ready, records, audit, ledger.round) : assign(ready, records);
}

export function open(draft: Turn, channel: number, { from, count }: Range): void {
  const deadline = draft.attempt!.openedAt + draft.attempt!.span - draft.now;
  const deadlineMs = Math.max(0, Math.floor(deadline));
  send(draft, channel, { type: 'open', round: draft.ledger.round, from, count, deadlineMs });
}

/**
 * Rates are looked up, not remembered: the first delivery of a run's first round already sets its deadline. All shares
 * are looked at for that, so the more have delivered, the more more it takes until it is done again.
 */
function renewSpan(draft: Turn): number {
  const attempt: Attempt = draft.attempt!;
  const shares = [...attempt.shares.values()];
  const span = roundSpan(shares.map(({ slot, count }) => ({ count, rate: draft.members.get(slot)!.rate })));
  const { delivered } = attempt;
  draft.attempt = { ...attempt, span, renewAt: delivered + 1 + (delivered >> 2) };
  return span;
}

/** Records that a contribution is of. */
export const recordsOf = ({ manifest }: Ledger, codes: Int8Array): number =>
  manifest.exchange ? decodeOffer(codes).count : codes.length;

/** Records that a peer may send of its range. Where steps go on all the time, it is what there was time for. */
export const mostOf = ({ ledger: { manifest } }: Turn, { count }: Range): number =>
  manifest.exchange && isPipelined(manifest.exchange) ? manifest.exchange.steps : count;

/** Those that move the weights: a peer may keep its share to itself. */
export function givenOf({ manifest }: Ledger, codes: Int8Array): number {
  if (!manifest.exchange) return codes.length;
  const { hashes, count } = decodeOffer(codes);
  return hashes.length > 0 ? count : 0;
}

function closeRound(draft: Turn): void {
  const attempt = draft.attempt!;
  const { openedAt, shares, given } = attempt;
  const { exchange, records_per_round } = draft.ledger.manifest;
  const elapsed = draft.now - openedAt;
  const replaceable = given === 0 && draft.ready - attempt.able >= peersNeeded(draft);
  const deadline = (span: number): number => (replaceable ? turnSpan(span) : span);
  // No deadline is held against anybody that was not worked out from the rates of now.
  const old = attempt.delivered >= attempt.renewAt || elapsed >= deadline(attempt.span);
  const { needed, next } = patience(elapsed, deadline(old ? renewSpan(draft) : attempt.span));
  // Of a round that invites may not fill, what they may.
  const wanted = exchange ? attempt.wanted : Math.min(attempt.wanted, records_per_round);

  const complete = attempt.missing === 0;
  const delivered = (): Share[] => [...shares.values()].filter(({ codes }) => codes !== undefined);
  // What several peers measured counts once. Before the deadline nobody asks.
  const records = (): number => (exchange === undefined && draft.rules.audit ? differentRecords(delivered()) : given);
  const enough = given > 0 && Number.isFinite(needed) && records() >= needed * wanted;
  const starved = replaceable && Number.isFinite(needed);
  if (!complete && !enough && !starved) {
    draft.effects.push({ type: 'wake', at: openedAt + next });
    return;
  }
  const missing = [...shares.values()].filter(
    ({ slot, codes }) => codes === undefined && draft.members.get(slot)!.channel !== undefined,
  );
  const { round } = draft.ledger;
  const before = draft.lapsed.round === round ? draft.lapsed.shares.slice(1 - MAX_LAPSED) : [];
  draft.lapsed = { round, shares: [...before, shares] };
  draft.attempt = undefined;
  draft.phase = 'waiting';
  for (const { slot, count } of missing) {
    const member = draft.members.get(slot)!;
    const rate = lateRate(member.rate, count, elapsed);
    put(draft, { ...member, rate, status: member.status === 'ready' ? 'late' : member.status });
  }
  if (given > 0) commit(draft, delivered());
}

function commit(draft: Turn, delivered: readonly Share[]): void {
  const { manifest, scale, round: number } = draft.ledger;
  const sent = delivered
    .map(({ slot, from, codes }): Segment => ({ slot, from, codes: codes! }))
    .sort((a, b) => a.from - b.from || a.slot - b.slot);
  if (manifest.exchange) {
    draft.merging = true;
    draft.phase = 'merging';
    draft.effects.push({
      type: 'merge',
      round: number,
      segments: sent.filter(({ codes }) => givenOf(draft.ledger, codes) > 0),
    });
    return;
  }
  const { segments, audits } = settleGroups(number, sent);
  const usable = usableCodes(segments);
  if (usable === 0) {
    unusable(draft, segments);
    return;
  }
  const header = headerOf(manifest, scale, number, usable, codeSums(segments, manifest.clip));
  const round = { header, segments };
  recordAudits(draft, audits);
  append(draft, { type: 'round', round });
  for (const { slot, codes } of segments) {
    const member = draft.members.get(slot)!;
    put(draft, { ...member, records: member.records + codes.length });
  }
  draft.phase = 'committed';
  draft.effects.push({ type: 'apply', round });
  holdToAccount(draft, audits);
  askReplica(draft);
}

/**
 * A round without one usable loss is never committed. Either the weights have diverged, which the host's own
 * evaluation tells, or these devices are broken: they are closed and may come back.
 */
function unusable(draft: Turn, segments: readonly Segment[]): void {
  for (const { slot } of segments) {
    const { channel } = draft.members.get(slot)!;
    if (channel !== undefined)
      refuse(
        draft,
        channel,
        'ENGINE_FAILED',
        'every loss of this device was not a number; update its Node and murmur, or leave it out',
      );
  }
  request(draft, 'evaluate');
}

/** The evaluation and the digest that are due at the present round. */
export function askReplica(draft: Turn): void {
  const { round, manifest, evaluated, digests } = draft.ledger;
  const { evalSteps, saveSteps } = draft.rules;
  const last = round === manifest.max_steps;
  const due = saveSteps === undefined ? round - draft.saved >= draft.snapshotRounds : round % saveSteps === 0;
  if ((last || round % evalSteps === 0) && !evaluated.has(round)) request(draft, 'evaluate');
  if ((last || (round > 0 && due)) && !digests.has(round)) {
    draft.saved = round;
    request(draft, 'root');
    // The next round does not wait for the digest, and then nobody has these weights any more. After the last nobody joins.
    if (!last) for (const channel of followers(draft)) send(draft, channel, { type: 'snapshot', round });
  }
}
