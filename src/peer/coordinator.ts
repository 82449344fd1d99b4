/**
 * The sequencer of a run as a pure state machine: `(state, event, now) → (state, effects)`. No sockets, disks, clocks
 * or entropy, so that a test can put thousands of faulty peers through it. `host.ts` carries the effects out, one
 * after the other and in order: a record is on disk before anybody hears of it.
 *
 * A round goes: `open` (ranges to all ready peers) → contributions, each a prefix of its range → commit, when all who
 * are still connected have delivered or the deadline passes with enough → apply, and the next round.
 *
 * @module
 */
import type { FaultCode } from '../faults.ts';
import { type Entry, HOST_SLOT, type HostMessage, type Segment } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import { headerOf, usableCodes } from '../optimizer/header.ts';
import { assign, type Range } from './assignment.ts';
import { extend, ledgerOf, roundsOf } from './ledger.ts';
import { lateRate, patience, roundSpan, updateRate } from './pace.ts';
import type { Attempt, Claim, Effect, Event, Kept, Member, Rules, Share, State } from './state.ts';

/** Connected at a time: each commit is sent to all of them, and one process has to serve it within a round. */
export const MAX_PEERS = 256;
/** Keys over a whole run. Each costs its journal an `admit` record that every later peer reads. */
export const MAX_SLOTS = 4096;
/** Provable offences (a forged or contradicting contribution, garbage frames) before a key is evicted for good. */
export const MAX_STRIKES = 3;
/** After the end the host stays for peers that were here a moment ago: the first few attempts of a reconnection. */
const LINGER_MS = 5000;
/** Checksums of one peer that wait for the host's replica; older reports are dropped. */
const MAX_CLAIMS = 16;

/** A state being rewritten by one step. */
type Turn = { -readonly [K in keyof State]: State[K] } & { readonly now: number; readonly effects: Effect[] };

export interface Stepped {
  readonly state: State;
  readonly effects: readonly Effect[];
}

/**
 * State of a run from its journal: a fresh one (manifest only) or one that a host left, however it left.
 * @param kept contributions to the round that was open then, verified. They are committed as they are.
 */
export function begin(entries: readonly Entry[], kept: readonly Kept[], rules: Rules, now: number): Stepped {
  const ledger = ledgerOf(entries);
  const records = new Map<number, number>();
  for (const { segments } of roundsOf(entries))
    for (const { slot, codes } of segments) records.set(slot, (records.get(slot) ?? 0) + codes.length);
  const members = [...ledger.admitted.values()].map(
    ({ slot, key, name, evicted }): Member => ({
      slot,
      key: toHex(key),
      name,
      status: evicted ? 'evicted' : 'gone',
      channel: undefined,
      rate: undefined,
      worked: -1,
      records: records.get(slot) ?? 0,
      strikes: 0,
      seen: now,
      since: 0,
      told: false,
      claims: [],
    }),
  );
  const state: State = {
    rules,
    ledger,
    phase: 'waiting',
    members: new Map(members.map((member) => [member.slot, member])),
    attempt: restore(
      kept.filter(({ round }) => round === ledger.round),
      now,
    ),
    own: new Map(),
    applied: 0,
    pending: 0,
    stopping: false,
    finished: false,
  };
  return turn(state, now, (draft) => {
    if (ledger.digests.has(ledger.manifest.max_steps)) draft.phase = 'done';
    else askReplica(draft);
  });
}

function restore(kept: readonly Kept[], now: number): Attempt | undefined {
  if (kept.length === 0) return undefined;
  const shares = kept.map(({ slot, from, codes }): Share => ({ slot, from, count: codes.length, codes }));
  return { openedAt: now, shares: new Map(shares.map((share) => [share.slot, share])) };
}

/** One event. Never throws on anything a peer can cause. */
export function step(state: State, event: Event, now: number): Stepped {
  if (state.finished) return { state, effects: [] };
  return turn(state, now, (draft) => {
    (HANDLERS[event.type] as (draft: Turn, event: Event) => void)(draft, event);
  });
}

function turn(state: State, now: number, act: (draft: Turn) => void): Stepped {
  const draft: Turn = { ...state, now, effects: [] };
  act(draft);
  settle(draft);
  const { now: _, effects, ...next } = draft;
  return { state: next, effects };
}

// --------------------------------------------------------------------------------------------------------- events

type Handlers = { readonly [T in Event['type']]: (draft: Turn, event: Extract<Event, { readonly type: T }>) => void };

const HANDLERS: Handlers = {
  proved(draft, { channel, key, name }) {
    const hex = toHex(key);
    const known = [...draft.members.values()].find((member) => member.key === hex);
    const full =
      (known === undefined && draft.members.size >= MAX_SLOTS) ||
      (known?.channel === undefined && followers(draft).length >= MAX_PEERS);
    if (known?.status === 'evicted') {
      refuse(draft, channel, 'EVICTED', 'this key was evicted from the run');
      return;
    }
    if (full) {
      refuse(draft, channel, 'RUN_FULL', `the run has ${followers(draft).length} peers; try again later`);
      return;
    }
    if (known?.channel !== undefined)
      refuse(draft, known.channel, 'REPLACED', 'the same identity connected again; run one process per identity');
    const slot = known?.slot ?? draft.members.size;
    if (known === undefined) append(draft, { type: 'admit', slot, key, name });
    const fresh = { slot, key: hex, name, rate: undefined, worked: -1, records: 0, strikes: 0, told: false };
    const since = draft.ledger.round;
    put(draft, { ...(known ?? fresh), status: 'joining', channel, seen: draft.now, since, claims: [] });
    send(draft, channel, { type: 'admitted', slot, head: since });
  },

  ready(draft, { channel, round, checksum }) {
    claim(draft, channel, { round, checksum, ready: true });
  },

  checksum(draft, { channel, round, checksum }) {
    claim(draft, channel, { round, checksum, ready: false });
  },

  contribution(draft, { channel, round, from, codes, signature }) {
    const member = heard(draft, channel);
    if (member === undefined) return;
    const share = round === draft.ledger.round ? draft.attempt?.shares.get(member.slot) : undefined;
    if (round < draft.ledger.round || (share === undefined && member.status === 'late')) {
      // Late, and perhaps honestly so: it is told, and it lives.
      if (member.status === 'late') put(draft, { ...member, status: 'ready' });
      send(draft, channel, { type: 'refused', code: 'CONTRIBUTION_STALE', detail: `round ${round} is closed` });
      return;
    }
    if (share === undefined || from !== share.from || codes.length === 0 || codes.length > share.count) {
      strike(draft, member, 'CONTRIBUTION_RANGE', `records ${from}+${codes.length} of round ${round}`);
      return;
    }
    if (share.codes !== undefined && !same(share.codes, codes)) {
      strike(draft, member, 'CONTRIBUTION_DUPLICATE', `a second version of records ${from}+ of round ${round}`);
      return;
    }
    if (share.codes === undefined) {
      const rate = updateRate(member.rate, codes.length, draft.now - draft.attempt!.openedAt);
      put(draft, { ...member, rate });
      setShare(draft, { ...share, codes });
      draft.effects.push({ type: 'keep', contribution: { slot: share.slot, round, from, codes, signature } });
    }
    draft.effects.push({ type: 'receipt', channel, round, slot: share.slot, from, codes });
  },

  violated(draft, { channel, code, detail }) {
    const member = memberOn(draft, channel);
    if (member !== undefined) strike(draft, member, code, detail);
  },

  left(draft, { channel }) {
    const member = memberOn(draft, channel);
    if (member !== undefined)
      put(draft, { ...member, status: 'gone', channel: undefined, seen: draft.now, claims: [] });
  },

  applied(draft, { round, checksum }) {
    draft.applied = round;
    draft.own = new Map(draft.own).set(round, checksum);
    for (const member of draft.members.values()) confirm(draft, member);
  },

  evaluated(draft, { round, metrics }) {
    draft.pending--;
    if (Object.values(metrics).every(Number.isFinite))
      append(draft, { type: 'evaluation', round, slot: HOST_SLOT, metrics });
    else finish(draft, 'DIVERGED', `held-out loss after ${round} rounds is not a number; lower learning_rate`);
  },

  rooted(draft, { round, root }) {
    draft.pending--;
    append(draft, { type: 'digest', round, root });
    if (round < draft.ledger.manifest.max_steps) return;
    draft.phase = 'done';
    for (const member of draft.members.values())
      if (member.status === 'ready' || member.status === 'late') tellDone(draft, member);
  },

  tick() {},

  stop(draft) {
    draft.stopping = true;
  },
};

/** Keeps a checksum report until the host's replica has been where it was taken; then `confirm` compares. */
function claim(draft: Turn, channel: number, claimed: Claim): void {
  const member = heard(draft, channel);
  if (member === undefined) return;
  if (claimed.round < member.since || claimed.round > draft.ledger.round) {
    strike(draft, member, 'MESSAGE_UNEXPECTED', `a checksum of round ${claimed.round}, which is not due`);
    return;
  }
  // A newer request for work replaces an older one; of mere reports, a few wait for the host's replica.
  const waiting = member.claims.filter(({ ready }) => !(ready && claimed.ready)).slice(-MAX_CLAIMS);
  const next = { ...member, claims: [...waiting, claimed] };
  put(draft, next);
  confirm(draft, next);
}

function confirm(draft: Turn, member: Member): void {
  const due = member.claims.filter(({ round }) => draft.own.has(round));
  if (due.length === 0 || member.channel === undefined) return;
  const wrong = due.find(({ round, checksum }) => draft.own.get(round) !== checksum);
  if (wrong !== undefined) {
    refuse(draft, member.channel, 'DRIFT', `weights differ after ${wrong.round} rounds; rebuild them`);
    return;
  }
  const claims = member.claims.filter(({ round }) => !draft.own.has(round));
  const ready = due.some((claimed) => claimed.ready);
  put(draft, { ...member, claims, status: ready ? 'ready' : member.status });
  if (!ready) return;
  if (draft.phase === 'done') {
    tellDone(draft, draft.members.get(member.slot)!);
    return;
  }
  const share = draft.attempt?.shares.get(member.slot);
  // It lost its connection while measuring, not its place.
  if (share !== undefined && share.codes === undefined) open(draft, member.channel, share);
}

// --------------------------------------------------------------------------------------------------------- rounds

/** Everything that follows from the state alone: commit, open, stop. Runs after every event. */
function settle(draft: Turn): void {
  if (draft.finished) return;
  if (draft.phase === 'done') {
    linger(draft);
    return;
  }
  if (draft.attempt !== undefined) closeRound(draft);
  if (draft.finished || draft.attempt !== undefined) return;
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

function tellDone(draft: Turn, member: Member): void {
  send(draft, member.channel!, { type: 'done', round: draft.ledger.round });
  put(draft, { ...member, told: true });
}

/** Finishes when everybody knows, but for those who have been away too long. */
function linger(draft: Turn): void {
  const awaited = [...draft.members.values()]
    .filter(({ status, told }) => !told && (status === 'gone' || status === 'joining'))
    .map(({ seen }) => seen + LINGER_MS)
    .filter((end) => end > draft.now);
  if (draft.stopping || awaited.length === 0) finish(draft, 'done', '');
  else draft.effects.push({ type: 'wake', at: Math.min(...awaited) });
}

function openRound(draft: Turn): void {
  const ready = [...draft.members.values()].filter(({ status }) => status === 'ready');
  if (ready.length === 0 || ready.length < draft.rules.minPeers) {
    draft.phase = 'waiting';
    return;
  }
  const ranges = assign(ready, draft.ledger.manifest.records_per_round);
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

function open(draft: Turn, channel: number, { from, count }: Range): void {
  const deadline = draft.attempt!.openedAt + spanOf(draft) - draft.now;
  const deadlineMs = Math.max(0, Math.floor(deadline));
  send(draft, channel, { type: 'open', round: draft.ledger.round, from, count, deadlineMs });
}

/** Rates are looked up, not remembered: the first delivery of a run's first round already sets its deadline. */
function spanOf(draft: Turn): number {
  const shares = [...draft.attempt!.shares.values()];
  return roundSpan(shares.map(({ slot, count }) => ({ count, rate: draft.members.get(slot)!.rate })));
}

function closeRound(draft: Turn): void {
  const { openedAt, shares } = draft.attempt!;
  const delivered = [...shares.values()].filter(({ codes }) => codes !== undefined);
  const missing = [...shares.values()].filter(
    ({ slot, codes }) => codes === undefined && draft.members.get(slot)!.channel !== undefined,
  );
  const records = delivered.reduce((sum, { codes }) => sum + codes!.length, 0);
  const { needed, next } = patience(draft.now - openedAt, spanOf(draft));
  const others = [...draft.members.values()].filter(({ slot, status }) => status === 'ready' && !shares.has(slot));

  const complete = missing.length === 0;
  const enough = records > 0 && records >= needed * draft.ledger.manifest.records_per_round;
  const starved = records === 0 && Number.isFinite(needed) && others.length >= Math.max(1, draft.rules.minPeers);
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
  const segments = delivered
    .map(({ slot, from, codes }): Segment => ({ slot, from, codes: codes! }))
    .sort((a, b) => a.from - b.from);
  const usable = usableCodes(segments);
  if (usable === 0) {
    unusable(draft, segments);
    return;
  }
  const round = { header: headerOf(manifest, scale, number, usable), segments };
  append(draft, { type: 'round', round });
  for (const { slot, codes } of segments) {
    const member = draft.members.get(slot)!;
    put(draft, { ...member, records: member.records + codes.length });
  }
  draft.phase = 'committed';
  draft.effects.push({ type: 'apply', round });
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
      refuse(draft, channel, 'ENGINE_FAILED', 'every loss of this device was not a number; run `murmur doctor`');
  }
  request(draft, 'evaluate');
}

/** The evaluation and the digest that are due at the present round. */
function askReplica(draft: Turn): void {
  const { round, manifest, evaluated, digests } = draft.ledger;
  const { evalSteps, saveSteps = manifest.max_steps } = draft.rules;
  const last = round === manifest.max_steps;
  if ((last || round % evalSteps === 0) && !evaluated.has(round)) request(draft, 'evaluate');
  if ((last || (round > 0 && round % saveSteps === 0)) && !digests.has(round)) request(draft, 'root');
}

// ---------------------------------------------------------------------------------------------------- small parts

function request(draft: Turn, type: 'evaluate' | 'root'): void {
  draft.pending++;
  draft.effects.push({ type });
}

function append(draft: Turn, entry: Entry): void {
  draft.ledger = extend(draft.ledger, entry);
  draft.effects.push({ type: 'append', entry, followers: followers(draft) });
}

/** Channels that hear every record: those of all admitted peers. */
function followers(draft: Turn): number[] {
  return [...draft.members.values()].flatMap(({ channel }) => channel ?? []);
}

function send(draft: Turn, channel: number, message: HostMessage): void {
  draft.effects.push({ type: 'send', channel, message });
}

function finish(draft: Turn, reason: Extract<Effect, { readonly type: 'finish' }>['reason'], detail: string): void {
  draft.finished = true;
  draft.phase = 'done';
  draft.effects.push({ type: 'finish', reason, detail });
}

function put(draft: Turn, member: Member): void {
  draft.members = new Map(draft.members).set(member.slot, member);
}

function setShare(draft: Turn, share: Share): void {
  const { openedAt, shares } = draft.attempt!;
  draft.attempt = { openedAt, shares: new Map(shares).set(share.slot, share) };
}

function memberOn(draft: Turn, channel: number): Member | undefined {
  return [...draft.members.values()].find((member) => member.channel === channel);
}

/** The sender of a message, marked as seen. Undefined if its channel has been given up meanwhile. */
function heard(draft: Turn, channel: number): Member | undefined {
  const member = memberOn(draft, channel);
  if (member === undefined) return undefined;
  const seen = { ...member, seen: draft.now };
  put(draft, seen);
  return seen;
}

/** Closes a connection. Its peer keeps its slot and may come back. */
function refuse(draft: Turn, channel: number, code: FaultCode, detail: string): void {
  draft.effects.push({ type: 'close', channel, code, detail });
  HANDLERS.left(draft, { type: 'left', channel });
}

function strike(draft: Turn, { slot, channel, strikes }: Member, code: FaultCode, detail: string): void {
  if (channel !== undefined) refuse(draft, channel, code, detail);
  const evicted = strikes + 1 >= MAX_STRIKES;
  put(draft, { ...draft.members.get(slot)!, strikes: strikes + 1, status: evicted ? 'evicted' : 'gone' });
  if (!evicted) return;
  append(draft, { type: 'evict', slot, reason: code });
  if (draft.attempt === undefined) return;
  // The journal takes nothing from a peer after its eviction, so what it delivered to this round is lost.
  const shares = new Map(draft.attempt.shares);
  shares.delete(slot);
  draft.attempt = { ...draft.attempt, shares };
}

const same = (a: Int8Array, b: Int8Array): boolean => a.length === b.length && a.every((code, i) => code === b[i]);
