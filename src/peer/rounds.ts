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
import { assignAudited } from './audit.ts';
import { differentRecords, holdToAccount, recordAudits, settleGroups } from './audited-round.ts';
import { lateRate, patience, roundSpan, turnSpan } from './pace.ts';
import type { Member, Share } from './state.ts';
import { append, finish, followers, put, refuse, request, send, type Turn } from './turn.ts';

/** After the end the host stays for peers that were here a moment ago: the first few attempts of a reconnection. */
const LINGER_MS = 5000;
/** And for one that is here and still reads the journal, or opens the model, or waits for a chunk: it says nothing meanwhile. */
const JOINING_MS = 30_000;

/** Everything that follows from the state alone: commit, open, stop. Runs after every event. */
export function settle(draft: Turn): void {
  if (draft.finished) return;
  if (draft.phase === 'done') {
    linger(draft);
    return;
  }
  if (draft.attempt !== undefined) closeRound(draft);
  if (draft.finished || draft.attempt !== undefined || draft.merging) return;
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
  put(draft, { ...member, told: true });
}

/** Finishes when everybody knows, but for those who have been away too long. */
function linger(draft: Turn): void {
  const awaited = [...draft.members.values()]
    .filter((member) => !member.told && member.status !== 'evicted' && !hasAll(draft, member))
    .map(({ seen, channel }) => seen + (channel === undefined ? LINGER_MS : JOINING_MS))
    .filter((end) => end > draft.now);
  if (draft.stopping || awaited.length === 0) finish(draft, 'done', '');
  else draft.effects.push({ type: 'wake', at: Math.min(...awaited) });
}

/** The first round waits for company; after it, nobody's death may stop the others. */
const peersNeeded = ({ ledger, rules, now, gatherUntil }: Turn): number =>
  ledger.round === 0 || now < gatherUntil ? Math.max(1, rules.minPeers) : 1;

function openRound(draft: Turn): void {
  const ready = [...draft.members.values()].filter(({ status }) => status === 'ready');
  if (ready.length < peersNeeded(draft)) {
    draft.phase = 'waiting';
    if (draft.now < draft.gatherUntil) draft.effects.push({ type: 'wake', at: draft.gatherUntil });
    return;
  }
  draft.gatherUntil = draft.now;
  const { exchange, records_per_round } = draft.ledger.manifest;
  const steps = exchange && (isPipelined(exchange) ? 1 : exchange.steps);
  const ranges = steps !== undefined ? assignSteps(ready, steps) : rangesOf(draft, ready, records_per_round);
  draft.effects.push({ type: 'forget' });
  draft.phase = 'measuring';
  draft.attempt = {
    openedAt: draft.now,
    shares: new Map(ranges.map((range) => [range.slot, { ...range, codes: undefined }])),
  };
  for (const range of ranges) {
    const member = draft.members.get(range.slot)!;
    put(draft, { ...member, worked: draft.ledger.round });
    open(draft, member.channel!, range);
  }
  draft.effects.push({ type: 'wake', at: draft.now + patience(0, spanOf(draft)).next });
}

/** Who measures which records, some of them several times where the host audits. */
function rangesOf({ rules: { audit }, ledger }: Turn, ready: readonly Member[], records: number): Range[] {
  return audit ? assignAudited(ready, records, audit, ledger.round) : assign(ready, records);
}

export function open(draft: Turn, channel: number, { from, count }: Range): void {
  const deadline = draft.attempt!.openedAt + spanOf(draft) - draft.now;
  const deadlineMs = Math.max(0, Math.floor(deadline));
  send(draft, channel, { type: 'open', round: draft.ledger.round, from, count, deadlineMs });
}

/** Rates are looked up, not remembered: the first delivery of a run's first round already sets its deadline. */
function spanOf(draft: Turn): number {
  const shares = [...draft.attempt!.shares.values()];
  return roundSpan(shares.map(({ slot, count }) => ({ count, rate: draft.members.get(slot)!.rate })));
}

/** Records that a contribution is of. */
export const recordsOf = ({ ledger }: Turn, codes: Int8Array): number =>
  ledger.manifest.exchange ? decodeOffer(codes).count : codes.length;

/** Records that a peer may send of its range. Where steps go on all the time, it is what there was time for. */
export const mostOf = ({ ledger: { manifest } }: Turn, { count }: Range): number =>
  manifest.exchange && isPipelined(manifest.exchange) ? manifest.exchange.steps : count;

/** Whether a contribution moves the weights: a peer may keep its share to itself. */
const isGiven = ({ ledger }: Turn, codes: Int8Array): boolean =>
  !ledger.manifest.exchange || decodeOffer(codes).hashes.length > 0;

function closeRound(draft: Turn): void {
  const { openedAt, shares } = draft.attempt!;
  const delivered = [...shares.values()].filter(({ codes }) => codes !== undefined);
  const missing = [...shares.values()].filter(
    ({ slot, codes }) => codes === undefined && draft.members.get(slot)!.channel !== undefined,
  );
  const { exchange, records_per_round } = draft.ledger.manifest;
  const records = exchange
    ? delivered.reduce((sum, { codes }) => sum + (isGiven(draft, codes!) ? recordsOf(draft, codes!) : 0), 0)
    : differentRecords(delivered);
  const wanted = exchange ? [...shares.values()].reduce((sum, { count }) => sum + count, 0) : records_per_round;
  const others = [...draft.members.values()].filter(({ slot, status }) => status === 'ready' && !shares.has(slot));
  const replaceable = records === 0 && others.length >= peersNeeded(draft);
  const span = spanOf(draft);
  const { needed, next } = patience(draft.now - openedAt, replaceable ? turnSpan(span) : span);

  const complete = missing.length === 0;
  const enough = records > 0 && records >= needed * wanted;
  const starved = replaceable && Number.isFinite(needed);
  if (!complete && !enough && !starved) {
    draft.effects.push({ type: 'wake', at: openedAt + next });
    return;
  }
  draft.attempt = undefined;
  draft.phase = 'waiting';
  for (const { slot, count } of missing) {
    const member = draft.members.get(slot)!;
    const rate = lateRate(member.rate, count, draft.now - openedAt);
    put(draft, { ...member, rate, status: member.status === 'ready' ? 'late' : member.status });
  }
  if (records > 0) commit(draft, delivered);
}

function commit(draft: Turn, delivered: readonly Share[]): void {
  const { manifest, scale, round: number } = draft.ledger;
  const sent = delivered
    .map(({ slot, from, codes }): Segment => ({ slot, from, codes: codes! }))
    .sort((a, b) => a.from - b.from || a.slot - b.slot);
  if (manifest.exchange) {
    draft.merging = true;
    draft.phase = 'merging';
    const segments = sent.filter(({ codes }) => isGiven(draft, codes));
    draft.effects.push({ type: 'merge', round: number, segments });
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
  const { evalSteps, saveSteps = manifest.max_steps } = draft.rules;
  const last = round === manifest.max_steps;
  if ((last || round % evalSteps === 0) && !evaluated.has(round)) request(draft, 'evaluate');
  if ((last || (round > 0 && round % saveSteps === 0)) && !digests.has(round)) request(draft, 'root');
}
