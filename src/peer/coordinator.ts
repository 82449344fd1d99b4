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

import { hold, holdersOf, NO_HOLDERS } from '../journal/holders.ts';
import { type Entry, HOST_SLOT, MAX_SHARES, NO_LOSS } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import { Table } from '../numeric/table.ts';
import { attemptOf } from './attempt.ts';
import { bookOf, claimsOf } from './audited-round.ts';
import { RETURN_MS } from './backoff.ts';
import { lossesOf, verdict } from './guard.ts';
import { type Ledger, ledgerOf, mergesOf, roundsOf, slotRecords } from './ledger.ts';
import { updateRate } from './pace.ts';
import { isBetweenRounds, isRight, isStale, keepFormer, takeBack } from './revising.ts';
import { askReplica, givenOf, hasAll, mostOf, open, recordsOf, settle, tellDone } from './rounds.ts';
import type { Attempt, Claim, Effect, Event, Kept, Member, Rules, Share, State } from './state.ts';
import { append, finish, heard, leave, memberOn, put, refuse, send, setShare, strike, type Turn } from './turn.ts';
import type { Asked } from './wishes.ts';

/**
 * Connected at a time: each commit is sent to all of them. One costs its host about 0.4 ms of a core a round
 * (`npm run bench:swarm`), so this many fit into half a second; and no merge names more shares.
 */
export const MAX_PEERS: number = MAX_SHARES;
/** Keys over a whole run. Each costs its journal an `admit` record of 150 bytes or so that every later peer reads. */
export const MAX_SLOTS: number = 16 * MAX_PEERS;
/**
 * Peers come back within this when their host does. Where they exchange vectors, what a step is depends on who is there: a
 * run that was stopped is to go on as it would have.
 */
const GATHER_MS = 30_000;
/** Checksums of one peer that wait for the host's replica; older reports are dropped. */
const MAX_CLAIMS = 16;

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
  const records = slotRecords(roundsOf(entries));
  const count = (slot: number, more: number): void => void records.set(slot, (records.get(slot) ?? 0) + more);
  for (const { shares } of mergesOf(entries)) for (const share of shares) count(share.slot, share.count);
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
      confirmed: -1,
      told: false,
      claims: [],
    }),
  );
  const table = Table.of(members.map((member) => [member.slot, member] as const));
  const state: State = {
    rules,
    ledger,
    phase: 'waiting',
    members: table,
    channels: Table.of(),
    holders: members.reduce((holders, { key, slot }) => hold(holders, key, slot), NO_HOLDERS),
    ready: 0,
    attempt: restore(ledger, [...claimsOf(entries), ...kept], table, now),
    gatherUntil: ledger.manifest.exchange && ledger.round > 0 ? now + GATHER_MS : now,
    lapsed: { round: ledger.round, shares: [] },
    // To a host that finds its run done, they come within LINGER_MS.
    returnUntil: ledger.round > 0 && !ledger.digests.has(ledger.manifest.max_steps) ? now + RETURN_MS : now,
    merging: false,
    own: Table.of(),
    ...{ former: new Map(), asked: [], revisions: 0, furthest: ledger.round },
    applied: 0,
    saved: Math.max(0, ...ledger.digests.keys()),
    snapshotRounds: Number.POSITIVE_INFINITY,
    pending: 0,
    awaited: undefined,
    audits: bookOf(entries),
    stopping: false,
    finished: false,
  };
  return turn(state, now, (draft) => {
    if (ledger.digests.has(ledger.manifest.max_steps)) draft.phase = 'done';
    else askReplica(draft);
  });
}

function restore(
  ledger: Ledger,
  kept: readonly Omit<Kept, 'signature'>[],
  members: Table<Member>,
  now: number,
): Attempt | undefined {
  const shares = kept
    .filter(({ round }) => round === ledger.round)
    .map(({ slot, from, codes }): Share => {
      return { slot, from, count: codes.length, codes, given: givenOf(ledger, codes) };
    });
  return shares.length === 0 ? undefined : attemptOf(now, shares, members);
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
  if (draft.asked.length > 0 && isBetweenRounds(draft)) {
    takeBack(draft);
    settle(draft);
  }
  const { now: _, effects, ...next } = draft;
  return { state: next, effects };
}

// --------------------------------------------------------------------------------------------------------- events

type Handlers = { readonly [T in Event['type']]: (draft: Turn, event: Extract<Event, { readonly type: T }>) => void };

const HANDLERS: Handlers = {
  proved(draft, { channel, key, name, invite }) {
    const hex = toHex(key);
    const known = holdersOf(draft.holders, hex)
      .map((slot) => draft.members.get(slot)!)
      .find((member) => member.key === hex);
    const connected = draft.channels.size;
    const full =
      (known === undefined && draft.members.size >= MAX_SLOTS) ||
      (known?.channel === undefined && connected >= MAX_PEERS);
    if (known?.status === 'evicted') {
      refuse(draft, channel, 'EVICTED', 'this key was evicted from the run');
      return;
    }
    if (full) {
      refuse(draft, channel, 'RUN_FULL', `the run has ${connected} peers; try again later`);
      return;
    }
    if (known?.channel !== undefined)
      refuse(draft, known.channel, 'REPLACED', 'the same identity connected again; run one process per identity');
    const slot = known?.slot ?? draft.members.size;
    if (known === undefined) append(draft, { type: 'admit', slot, key, name });
    const fresh = { slot, key: hex, name, rate: undefined, worked: -1, records: 0, strikes: 0 };
    const since = draft.ledger.round;
    const pass = { invite: invite?.name, maxShare: invite?.maxShare };
    const joining = {
      status: 'joining',
      told: false,
      channel,
      seen: draft.now,
      since,
      confirmed: -1,
      claims: [],
    } as const;
    put(draft, { ...(known ?? fresh), ...pass, ...joining });
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
    // Of another round nothing is looked at, not even how many records it holds.
    const count = share === undefined ? 0 : recordsOf(draft.ledger, codes);
    const fits = share !== undefined && from === share.from && count > 0 && count <= mostOf(draft, share);
    if (round < draft.ledger.round || (!fits && isLapsed(draft, { round, slot: member.slot, from }))) {
      // Late, and perhaps honestly so: it is told, and it lives.
      if (member.status === 'late') put(draft, { ...member, status: 'ready' });
      send(draft, channel, { type: 'refused', code: 'CONTRIBUTION_STALE', detail: `round ${round} is closed` });
      return;
    }
    if (!fits) {
      strike(draft, member, 'CONTRIBUTION_RANGE', `records ${from}+${codes.length} of round ${round}`);
      return;
    }
    if (!isCoded(draft, codes)) {
      strike(draft, member, 'CONTRIBUTION_RANGE', `a code beyond the clip in round ${round}`);
      return;
    }
    if (share.codes !== undefined && !same(share.codes, codes)) {
      strike(draft, member, 'CONTRIBUTION_DUPLICATE', `a second version of records ${from}+ of round ${round}`);
      return;
    }
    if (share.codes === undefined) {
      const rate = updateRate(member.rate, count, draft.now - draft.attempt!.openedAt);
      put(draft, { ...member, rate });
      setShare(draft, { ...share, codes, given: givenOf(draft.ledger, codes) });
      draft.effects.push({ type: 'keep', contribution: { slot: share.slot, round, from, codes, signature } });
    }
    draft.effects.push({ type: 'receipt', channel, round, slot: share.slot, from, codes });
  },

  violated(draft, { channel, code, detail }) {
    const member = memberOn(draft, channel);
    if (member !== undefined) strike(draft, member, code, detail);
  },

  fetching(draft, { channel }) {
    heard(draft, channel);
  },

  left(draft, { channel, goodbye }) {
    leave(draft, channel, goodbye);
  },

  applied(draft, event) {
    const { round, checksum, snapshotRounds = Number.POSITIVE_INFINITY } = event;
    if (isStale(draft, event)) keepFormer(draft, round, checksum);
    else {
      draft.applied = round;
      draft.snapshotRounds = snapshotRounds;
      draft.own = draft.own.set(round, checksum);
    }
    for (const member of draft.members.values()) confirm(draft, member);
  },

  evaluated(draft, event) {
    const { round, metrics } = event;
    draft.pending--;
    if (isStale(draft, event)) return;
    if (!Object.values(metrics).every(Number.isFinite)) {
      finish(draft, 'DIVERGED', `held-out loss after ${round} rounds is not a number; lower learning_rate`);
      return;
    }
    append(draft, { type: 'evaluation', round, slot: HOST_SLOT, metrics });
    const { evaluated, manifest } = draft.ledger;
    const found = draft.rules.guarded ? verdict(lossesOf(evaluated), manifest) : undefined;
    if (found) finish(draft, found.code, found.detail);
  },

  rooted(draft, event) {
    const { round, root, standing } = event;
    draft.pending--;
    if (isStale(draft, event)) return;
    if (standing !== undefined) append(draft, { type: 'standing', round, hash: standing });
    append(draft, { type: 'digest', round, root });
    if (round < draft.ledger.manifest.max_steps) return;
    draft.phase = 'done';
    for (const member of draft.members.values()) if (hasAll(draft, member)) tellDone(draft, member);
  },

  merged(draft, { merge }) {
    draft.merging = false;
    // The journal takes nothing from a peer after its eviction: the others are asked for the same shares once more.
    if (merge.shares.some(({ slot }) => draft.members.get(slot)!.status === 'evicted')) {
      draft.phase = 'waiting';
      return;
    }
    append(draft, { type: 'merge', merge });
    for (const { slot, count } of merge.shares) {
      const member = draft.members.get(slot)!;
      put(draft, { ...member, records: member.records + count });
    }
    draft.phase = 'committed';
    draft.effects.push({ type: 'forget' }, { type: 'applyMerge', merge });
    askReplica(draft);
  },

  unmerged(draft) {
    draft.merging = false;
    draft.phase = 'waiting';
  },

  revoke: wish,
  rewind: wish,

  tick() {},

  stop(draft) {
    draft.stopping = true;
  },
};

/** It waits for the round that is open. */
function wish(draft: Turn, asked: Asked): void {
  if (draft.phase !== 'done') {
    draft.asked = [...draft.asked, asked];
    return;
  }
  const refusal = { code: 'NOT_NOW', detail: 'the run is over and its host about to end; repeat it then' } as const;
  draft.effects.push({ type: 'answer', answered: { id: asked.id, refusal } });
}

/** Keeps a checksum report until the host's replica has been where it was taken; then `confirm` compares. */
function claim(draft: Turn, channel: number, claimed: Claim): void {
  const member = heard(draft, channel);
  if (member === undefined) return;
  // Of rounds that are no more: the peer has not heard yet, and will say what its weights are when it has.
  if (claimed.round > draft.ledger.round && claimed.round <= draft.furthest) return;
  if (claimed.round < member.since || claimed.round > draft.ledger.round) {
    strike(draft, member, 'MESSAGE_UNEXPECTED', `a checksum of round ${claimed.round}, which is not due`);
    return;
  }
  // A newer request for work replaces an older one; it waits however far behind the host is, of mere reports a few do.
  const reports = member.claims.filter(({ ready }) => !ready).slice(-MAX_CLAIMS);
  const requests = claimed.ready ? [] : member.claims.filter(({ ready }) => ready);
  const next = { ...member, claims: [...requests, ...reports, claimed] };
  put(draft, next);
  confirm(draft, next);
}

function confirm(draft: Turn, member: Member): void {
  const due = member.claims.filter((claimed) => isRight(draft, claimed) !== undefined);
  if (due.length === 0 || member.channel === undefined) return;
  const wrong = due.find((claimed) => isRight(draft, claimed) === false);
  if (wrong !== undefined) {
    refuse(draft, member.channel, 'DRIFT', `weights differ after ${wrong.round} rounds; rebuild them`);
    return;
  }
  const claims = member.claims.filter((claimed) => !due.includes(claimed));
  const ready = due.some((claimed) => claimed.ready);
  const confirmed = Math.max(member.confirmed, ...due.map(({ round }) => round));
  const next: Member = { ...member, claims, confirmed, status: ready ? 'ready' : member.status };
  put(draft, next);
  if (draft.phase === 'done') {
    if (!next.told && hasAll(draft, next)) tellDone(draft, next);
    return;
  }
  if (!ready) return;
  const share = draft.attempt?.shares.get(member.slot);
  // It lost its connection while measuring, not its place.
  if (share !== undefined && share.codes === undefined) open(draft, member.channel, share);
}

/** Whether records were assigned, and their time is up: what is said of them late, or once more, is no offence. */
const isLapsed = ({ lapsed }: Turn, { round, slot, from }: Pick<Kept, 'round' | 'slot' | 'from'>): boolean =>
  lapsed.round === round && lapsed.shares.some((shares) => shares.get(slot)?.from === from);
/** Whether all codes are ones that an encoder makes: none is beyond the clip. */
const isCoded = ({ ledger: { manifest } }: Turn, codes: Int8Array): boolean =>
  manifest.exchange !== undefined || codes.every((code) => code === NO_LOSS || Math.abs(code) <= manifest.clip);

const same = (a: Int8Array, b: Int8Array): boolean => a.length === b.length && a.every((code, i) => code === b[i]);
