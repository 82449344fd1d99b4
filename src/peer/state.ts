/**
 * The nouns of the sequencer: what happens to a run, what it does about it, and what it remembers.
 * `coordinator.ts` has the verbs.
 *
 * @module
 */
import type { FaultCode } from '../faults.ts';
import type { Entry, Hex, HostMessage, Merge, Round, Segment } from '../nouns.ts';
import type { Range } from './assignment.ts';
import type { AuditBook, AuditRules } from './audit.ts';
import type { Ledger } from './ledger.ts';

/** What the host of a run decides that is not in the manifest, because it changes no bits. */
export interface Rules {
  /** Ready peers it takes to open the first round. */
  readonly minPeers: number;
  /** Rounds between two evaluations by the host's own replica; round 0 and the last are always evaluated. */
  readonly evalSteps: number;
  /** Rounds between two checkpoints, whose digest goes into the journal; without it, only the last round has one. */
  readonly saveSteps?: number;
  /** Stop a run that diverges or does not move (`guard.ts`). A loss that is not a number ends every run. */
  readonly guarded?: boolean;
  /** Have some records measured by three peers (`audit.ts`). Absent: none. */
  readonly audit?: AuditRules;
}

/** The rules among a host's options. */
export const rulesOf = ({ minPeers, evalSteps, saveSteps, guarded = false, audit }: Rules): Rules => ({
  ...{ minPeers, evalSteps, guarded },
  ...(saveSteps === undefined ? {} : { saveSteps }),
  ...(audit === undefined ? {} : { audit }),
});

/** `channel` is the host's number of a connection. Every event comes from a peer that has proved its key. */
export type Event =
  | { readonly type: 'proved'; readonly channel: number; readonly key: Uint8Array; readonly name: string }
  | { readonly type: 'ready' | 'checksum'; readonly channel: number; readonly round: number; readonly checksum: Hex }
  /** Its signature has been verified. */
  | {
      readonly type: 'contribution';
      readonly channel: number;
      readonly round: number;
      readonly from: number;
      readonly codes: Int8Array;
      readonly signature: Uint8Array;
    }
  /** The peer broke the protocol in a way that only its key can have done. */
  | { readonly type: 'violated'; readonly channel: number; readonly code: FaultCode; readonly detail: string }
  /** It is fetching chunks: slow, not gone. */
  | { readonly type: 'fetching'; readonly channel: number }
  | { readonly type: 'left'; readonly channel: number }
  /** The host's own replica stands at `round` rounds. */
  | { readonly type: 'applied'; readonly round: number; readonly checksum: Hex }
  | { readonly type: 'evaluated'; readonly round: number; readonly metrics: Readonly<Record<string, number>> }
  | { readonly type: 'rooted'; readonly round: number; readonly root: Uint8Array }
  /** What the shares of the round came to. */
  | { readonly type: 'merged'; readonly merge: Merge }
  /** None of the shares that were to be merged was of any use. */
  | { readonly type: 'unmerged' }
  | { readonly type: 'tick' }
  /** Finish the round and close. */
  | { readonly type: 'stop' };

export type Effect =
  /** Make the entry durable, then send its record to `followers`. */
  | { readonly type: 'append'; readonly entry: Entry; readonly followers: readonly number[] }
  | { readonly type: 'send'; readonly channel: number; readonly message: HostMessage }
  /** Keep a contribution durably until its round is committed: what is receipted must survive a crash. */
  | { readonly type: 'keep'; readonly contribution: Kept }
  /** Drop what was kept: it is committed, or of no use. */
  | { readonly type: 'forget' }
  /** Sign and send a receipt. */
  | {
      readonly type: 'receipt';
      readonly channel: number;
      readonly round: number;
      readonly slot: number;
      readonly from: number;
      readonly codes: Int8Array;
    }
  /** Say why, then close the connection. */
  | { readonly type: 'close'; readonly channel: number; readonly code: FaultCode; readonly detail: string }
  /** For the host's replica, which works through them in this order. */
  | { readonly type: 'apply'; readonly round: Round }
  /** Make one change of these shares, whose chunks are all here, and say `merged`; or `unmerged`. */
  | { readonly type: 'merge'; readonly round: number; readonly segments: readonly Segment[] }
  | { readonly type: 'applyMerge'; readonly merge: Merge }
  | { readonly type: 'evaluate' | 'root' }
  /** Send `tick` at this time. Replaces an earlier one. */
  | { readonly type: 'wake'; readonly at: number }
  | { readonly type: 'finish'; readonly reason: 'done' | 'stopped' | FaultCode; readonly detail: string };

/** A contribution to a round that is not committed yet. */
export interface Kept {
  readonly slot: number;
  readonly round: number;
  readonly from: number;
  readonly codes: Int8Array;
  readonly signature: Uint8Array;
}

export type Phase = 'waiting' | 'measuring' | 'merging' | 'committed' | 'done';

/**
 * `joining`: fetches and applies the journal. `late`: missed a deadline and has not been heard of since; it gets no
 * work until it is. `gone`: not connected.
 */
export type Status = 'joining' | 'ready' | 'late' | 'gone' | 'evicted';

/** A key of the journal, connected or not. */
export interface Member {
  readonly slot: number;
  readonly key: Hex;
  readonly name: string;
  readonly status: Status;
  readonly channel: number | undefined;
  /** Records per millisecond, the way to the host included; undefined before the first delivery. */
  readonly rate: number | undefined;
  /** Last round in which it had work; −1: never. */
  readonly worked: number;
  /** Records of it in committed rounds. */
  readonly records: number;
  readonly strikes: number;
  /** Time of its last message. */
  readonly seen: number;
  /** Rounds committed when it connected: nothing older is sent to it. */
  readonly since: number;
  /** Rounds after which its checksum was last found to be the host's; −1: never. */
  readonly confirmed: number;
  /** It has everything, and was told that the run is done. */
  readonly told: boolean;
  /** Its checksums that the host's replica could not confirm yet. */
  readonly claims: readonly Claim[];
}

/** A checksum that a peer reports after `round` rounds; `ready`: and it asks for work. */
export interface Claim {
  readonly round: number;
  readonly checksum: Hex;
  readonly ready: boolean;
}

export interface Share extends Range {
  /** What it delivered: a prefix of the range. */
  readonly codes: Int8Array | undefined;
}

/** The round that is being measured. */
export interface Attempt {
  readonly openedAt: number;
  readonly shares: ReadonlyMap<number, Share>;
}

export interface State {
  readonly rules: Rules;
  readonly ledger: Ledger;
  readonly phase: Phase;
  readonly members: ReadonlyMap<number, Member>;
  readonly attempt: Attempt | undefined;
  /** Until then a host that goes on with a run waits for as many peers as at its beginning. */
  readonly gatherUntil: number;
  /** A round is closed, and its shares are being made one change. */
  readonly merging: boolean;
  /** Checksums of the host's replica by round. */
  readonly own: ReadonlyMap<number, Hex>;
  /** Rounds the host's replica has applied. */
  readonly applied: number;
  /** Evaluations and roots asked of the host's replica and not yet answered. */
  readonly pending: number;
  /** What audits have found. */
  readonly audits: AuditBook;
  readonly stopping: boolean;
  readonly finished: boolean;
}

/** What a person wants to see of a peer. */
export type MemberView = Pick<Member, 'slot' | 'name' | 'rate' | 'records' | 'seen'> & {
  /** Rounds after which it last said what its weights are; −1: never. */
  readonly applied: number;
  readonly state: Status | 'measuring';
};

export interface View {
  readonly phase: Phase;
  readonly round: number;
  readonly peers: readonly MemberView[];
  /** When the round that is being measured was opened. */
  readonly openedAt: number | undefined;
}

export function view({ phase, ledger, members, attempt }: State): View {
  const peers = [...members.values()].map(
    ({ slot, name, rate, records, seen, confirmed, claims, status }): MemberView => {
      const share = attempt?.shares.get(slot);
      const measuring = status === 'ready' && share !== undefined && share.codes === undefined;
      const applied = Math.max(confirmed, ...claims.map(({ round }) => round));
      return { slot, name, rate, records, seen, applied, state: measuring ? 'measuring' : status };
    },
  );
  return { phase, round: ledger.round, peers, openedAt: attempt?.openedAt };
}
