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
import { type Entry, HOST_SLOT, NO_LOSS } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import { bookOf, claimsOf } from './audited-round.ts';
import { lossesOf, verdict } from './guard.ts';
import { ledgerOf, mergesOf, roundsOf } from './ledger.ts';
import { updateRate } from './pace.ts';
import { askReplica, hasAll, mostOf, open, recordsOf, settle, tellDone } from './rounds.ts';
import type { Attempt, Claim, Effect, Event, Kept, Member, Rules, Share, State } from './state.ts';
import {
  append,
  finish,
  followers,
  heard,
  leave,
  memberOn,
  put,
  refuse,
  send,
  setShare,
  strike,
  type Turn,
} from './turn.ts';

/** Connected at a time: each commit is sent to all of them, and one process has to serve it within a round. */
export const MAX_PEERS = 256;
/** Keys over a whole run. Each costs its journal an `admit` record that every later peer reads. */
export const MAX_SLOTS = 4096;
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
  const records = new Map<number, number>();
  const count = (slot: number, more: number): void => void records.set(slot, (records.get(slot) ?? 0) + more);
  for (const { segments } of roundsOf(entries)) for (const { slot, codes } of segments) count(slot, codes.length);
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
  const state: State = {
    rules,
    ledger,
    phase: 'waiting',
    members: new Map(members.map((member) => [member.slot, member])),
    attempt: restore(
      [...claimsOf(entries), ...kept].filter(({ round }) => round === ledger.round),
      now,
    ),
    gatherUntil: ledger.manifest.exchange && ledger.round > 0 ? now + GATHER_MS : now,
    merging: false,
    own: new Map(),
    applied: 0,
    pending: 0,
    audits: bookOf(entries),
    stopping: false,
    finished: false,
  };
  return turn(state, now, (draft) => {
    if (ledger.digests.has(ledger.manifest.max_steps)) draft.phase = 'done';
    else askReplica(draft);
  });
}

function restore(kept: readonly Omit<Kept, 'signature'>[], now: number): Attempt | undefined {
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
    put(draft, { ...(known ?? fresh), status: 'joining', channel, seen: draft.now, since, confirmed: -1, claims: [] });
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
    const count = recordsOf(draft, codes);
    if (share === undefined || from !== share.from || count === 0 || count > mostOf(draft, share)) {
      strike(draft, member, 'CONTRIBUTION_RANGE', `records ${from}+${count} of round ${round}`);
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
      setShare(draft, { ...share, codes });
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

  left(draft, { channel }) {
    leave(draft, channel);
  },

  applied(draft, { round, checksum }) {
    draft.applied = round;
    draft.own = new Map(draft.own).set(round, checksum);
    for (const member of draft.members.values()) confirm(draft, member);
  },

  evaluated(draft, { round, metrics }) {
    draft.pending--;
    if (!Object.values(metrics).every(Number.isFinite)) {
      finish(draft, 'DIVERGED', `held-out loss after ${round} rounds is not a number; lower learning_rate`);
      return;
    }
    append(draft, { type: 'evaluation', round, slot: HOST_SLOT, metrics });
    const { evaluated, manifest } = draft.ledger;
    const found = draft.rules.guarded ? verdict(lossesOf(evaluated), manifest) : undefined;
    if (found) finish(draft, found.code, found.detail);
  },

  rooted(draft, { round, root }) {
    draft.pending--;
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
  // A newer request for work replaces an older one; it waits however far behind the host is, of mere reports a few do.
  const reports = member.claims.filter(({ ready }) => !ready).slice(-MAX_CLAIMS);
  const requests = claimed.ready ? [] : member.claims.filter(({ ready }) => ready);
  const next = { ...member, claims: [...requests, ...reports, claimed] };
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

/** Whether all codes are ones that an encoder makes: none is beyond the clip. */
const isCoded = ({ ledger: { manifest } }: Turn, codes: Int8Array): boolean =>
  manifest.exchange !== undefined || codes.every((code) => code === NO_LOSS || Math.abs(code) <= manifest.clip);

const same = (a: Int8Array, b: Int8Array): boolean => a.length === b.length && a.every((code, i) => code === b[i]);
