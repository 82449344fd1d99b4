/**
 * One step of the sequencer in the making: a state being rewritten, and the small moves that every rule is made of.
 *
 * @module
 */
import type { FaultCode } from '../faults.ts';
import { hold } from '../journal/holders.ts';
import type { Entry, HostMessage } from '../nouns.ts';
import { withMember, withoutShare, withShare } from './attempt.ts';
import { extend } from './ledger.ts';
import type { Effect, Member, Share, State } from './state.ts';

/** Provable offences (a forged or contradicting contribution, garbage frames) before a key is evicted for good. */
export const MAX_STRIKES = 3;

/** Its tables are replaced, never changed: the state before the step stays as it was. */
export type Turn = { -readonly [K in keyof State]: State[K] } & { readonly now: number; readonly effects: Effect[] };

export function request(draft: Turn, type: 'evaluate' | 'root'): void {
  draft.pending++;
  draft.effects.push({ type });
}

export function append(draft: Turn, entry: Entry): void {
  draft.ledger = extend(draft.ledger, entry);
  draft.effects.push({ type: 'append', entry, followers: followers(draft) });
}

/** Channels that hear every record: those of all admitted peers. */
export function followers(draft: Turn): number[] {
  return [...draft.channels.keys()];
}

export function send(draft: Turn, channel: number, message: HostMessage): void {
  draft.effects.push({ type: 'send', channel, message });
}

export function finish(
  draft: Turn,
  reason: Extract<Effect, { readonly type: 'finish' }>['reason'],
  detail: string,
): void {
  draft.finished = true;
  draft.phase = 'done';
  draft.effects.push({ type: 'finish', reason, detail });
}

/** The only way to write a member: everything that is counted or looked up by follows. */
export function put(draft: Turn, member: Member): void {
  const { slot, key, channel, status } = member;
  const before = draft.members.get(slot);
  draft.members = draft.members.set(slot, member);
  if (before === undefined) draft.holders = hold(draft.holders, key, slot);
  if (before?.status === 'ready') draft.ready--;
  if (status === 'ready') draft.ready++;
  if (before?.channel !== channel) {
    if (before?.channel !== undefined) draft.channels = draft.channels.delete(before.channel);
    if (channel !== undefined) draft.channels = draft.channels.set(channel, slot);
  }
  if (before !== undefined && draft.attempt !== undefined) draft.attempt = withMember(draft.attempt, before, member);
}

export function setShare(draft: Turn, share: Share): void {
  draft.attempt = withShare(draft.attempt!, share, draft.members.get(share.slot)!);
}

export function memberOn(draft: Pick<State, 'members' | 'channels'>, channel: number): Member | undefined {
  const slot = draft.channels.get(channel);
  return slot === undefined ? undefined : draft.members.get(slot);
}

/** The sender of a message, marked as seen. Undefined if its channel has been given up meanwhile. */
export function heard(draft: Turn, channel: number): Member | undefined {
  const member = memberOn(draft, channel);
  if (member === undefined) return undefined;
  const seen = { ...member, seen: draft.now };
  put(draft, seen);
  return seen;
}

/** Its connection is gone. */
export function leave(draft: Turn, channel: number, goodbye = false): void {
  const member = memberOn(draft, channel);
  if (member === undefined) return;
  put(draft, { ...member, status: 'gone', channel: undefined, seen: draft.now, told: goodbye, claims: [] });
}

/** Closes a connection. Its peer keeps its slot and may come back. */
export function refuse(draft: Turn, channel: number, code: FaultCode, detail: string): void {
  draft.effects.push({ type: 'close', channel, code, detail });
  leave(draft, channel);
}

export function strike(draft: Turn, { slot, channel, strikes }: Member, code: FaultCode, detail: string): void {
  if (channel !== undefined) refuse(draft, channel, code, detail);
  const evicted = strikes + 1 >= MAX_STRIKES;
  put(draft, { ...draft.members.get(slot)!, strikes: strikes + 1, status: 'gone' });
  if (evicted) evict(draft, slot, code);
}

/** Excludes a key for good. */
export function evict(draft: Turn, slot: number, reason: string): void {
  put(draft, { ...draft.members.get(slot)!, status: 'evicted' });
  append(draft, { type: 'evict', slot, reason });
  // The journal takes nothing from a peer after its eviction, so what it delivered to this round is lost.
  if (draft.attempt !== undefined) draft.attempt = withoutShare(draft.attempt, draft.members.get(slot)!);
}
