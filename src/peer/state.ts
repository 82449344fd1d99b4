/**
 * The nouns of the sequencer: what happens to a run, what it does about it, and what it remembers.
 * `coordinator.ts` has the verbs.
 *
 * @module
 */
import type { FaultCode } from '../faults.ts';
import type { Holders } from '../journal/holders.ts';
import type { Revision } from '../method/revise.ts';
import type { Entry, Hex, HostMessage, Merge, Round, Segment } from '../nouns.ts';
import type { Table } from '../numeric/table.ts';
import type { Range } from './assignment.ts';
import type { AuditBook, AuditRules } from './audit.ts';
import type { Ledger } from './ledger.ts';
import type { Answered, Asked } from './wishes.ts';

/** What the host of a run decides that is not in the manifest, because it changes no bits. */
export interface Rules {
  /** Ready peers it takes to open the first round. */
  readonly minPeers: number;
  /** Rounds between two evaluations by the host's own replica; round 0 and the last are always evaluated. */
  readonly evalSteps: number;
  /** Rounds between two checkpoints, whose digest goes into the journal; without it, the host's replica says when. */
  readonly saveSteps?: number;
  /** Stop a run that diverges or does not move (`guard.ts`). A loss that is not a number ends every run. */
  readonly guarded?: boolean;
  /** Have some records measured by three peers (`audit.ts`). Absent: none. */
  readonly audit?: AuditRules;
}

/** What an invite grants: all who come by it have together at most `maxShare` of a round's records, 0 to 1. */
export interface Pass {
  readonly name: string;
  readonly maxShare: number;
}
/** The rules among a host's options. */
export const rulesOf = ({ minPeers, evalSteps, saveSteps, guarded = false, audit }: Rules): Rules => ({
  ...{ minPeers, evalSteps, guarded },
  ...(saveSteps === undefined ? {} : { saveSteps }),
  ...(audit === undefined ? {} : { audit }),
});

/** `channel` is the host's number of a connection. Every event comes from a peer that has proved its key. */
export type Event =
  | {
      readonly type: 'proved';
      readonly channel: number;
      readonly key: Uint8Array;
      readonly name: string;
      /** By which it came this time. */
      readonly invite?: Pass;
    }
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
  /** `goodbye`: it said that it needs nothing more. */
  | { readonly type: 'left'; readonly channel: number; readonly goodbye?: boolean }
  /** The host's own replica stands at `round` rounds. */
  /** `snapshotRounds`: after so many a snapshot is worth its download (`snapshot-pace.ts`). Absent: it never is. */
  | ({ readonly type: 'applied'; readonly checksum: Hex; readonly snapshotRounds?: number } & Finding)
  | ({ readonly type: 'evaluated'; readonly metrics: Readonly<Record<string, number>> } & Finding)
  /** `standing`: hash of the journal's standing after that many rounds, where a snapshot was written (`standing.ts`). */
  | ({ readonly type: 'rooted'; readonly root: Uint8Array; readonly standing?: Uint8Array } & Finding)
  | Asked
  /** What the shares of the round came to. */
  | { readonly type: 'merged'; readonly merge: Merge }
  /** None of the shares that were to be merged was of any use. */
  | { readonly type: 'unmerged' }
  | { readonly type: 'tick' }
  /** Finish the round and close. */
  | { readonly type: 'stop' };

/** What the host's replica found out. */
export interface Finding {
  readonly round: number;
  /** Times that it had taken something back by then. Absent: none. */
  readonly revisions?: number;
}

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
  | { readonly type: 'revise'; readonly revision: Revision }
  /** Tell who asked for something to be taken back. */
  | { readonly type: 'answer'; readonly answered: Answered }
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
  /** By which it came; undefined before it has come to this host. */
  readonly invite?: string | undefined;
  readonly maxShare?: number | undefined;
  /** Rounds committed when it connected: nothing older is sent to it. */
  readonly since: number;
  /** Rounds after which its checksum was last found to be the host's; −1: never. */
  readonly confirmed: number;
  /** While it is here: it was told that the run is done. When it is gone: it said goodbye. */
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
  /** Records of it that move the weights: none before it is delivered, or where its peer keeps it to itself. */
  readonly given: number;
}

/** Over all shares of a round. */
export interface Sums {
  readonly delivered: number;
  /** Not delivered, of peers that are connected. */
  readonly missing: number;
  /** Of peers that are ready. */
  readonly able: number;
  readonly given: number;
  /** Records in all ranges. */
  readonly wanted: number;
}

/** The round that is being measured. `attempt.ts` keeps up its sums. */
export interface Attempt extends Sums {
  readonly openedAt: number;
  readonly shares: Table<Share>;
  /** Milliseconds to its deadline, as last worked out; `rounds.ts` does that again when so many have delivered. */
  readonly span: number;
  readonly renewAt: number;
}

export interface State {
  readonly rules: Rules;
  readonly ledger: Ledger;
  readonly phase: Phase;
  /** By slot. Written by `put` alone, which keeps up what follows from it: the next three, and sums of `attempt`. */
  readonly members: Table<Member>;
  /** Slots of those who are connected, by channel. */
  readonly channels: Table<number>;
  /** Slots by key, of the evicted as well. */
  readonly holders: Holders;
  /** Members that are ready. */
  readonly ready: number;
  readonly attempt: Attempt | undefined;
  /** Of `round`, those attempts that are closed, newest last. */
  readonly lapsed: { readonly round: number; readonly shares: readonly Table<Share>[] };
  /** Until then a host that goes on with a run waits for as many peers as at its beginning. */
  readonly gatherUntil: number;
  /** Peers that were there with an earlier host may be on their way until then. */
  readonly returnUntil: number;
  /** A round is closed, and its shares are being made one change. */
  readonly merging: boolean;
  /** Checksums of the host's replica by round. */
  readonly own: Table<Hex>;
  /** Those of weights that were taken back since; a peer may have told one of them, or may yet. */
  readonly former: ReadonlyMap<number, readonly Hex[]>;
  /** What is to be taken back when no round is open. */
  readonly asked: readonly Asked[];
  /** Times that something was taken back. */
  readonly revisions: number;
  /** The most rounds that there were before that. */
  readonly furthest: number;
  /** Rounds the host's replica has applied. */
  readonly applied: number;
  /** Rounds of the last snapshot that was asked for, and those to the next. */
  readonly saved: number;
  readonly snapshotRounds: number;
  /** Evaluations and roots asked of the host's replica and not yet answered. */
  readonly pending: number;
  /** After the end: one of those for whom the host stays. */
  readonly awaited: number | undefined;
  /** What audits have found. */
  readonly audits: AuditBook;
  readonly stopping: boolean;
  readonly finished: boolean;
}

/** What a person wants to see of a peer. */
export type MemberView = Pick<Member, 'slot' | 'name' | 'rate' | 'records' | 'strikes' | 'seen'> & {
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
    ({ slot, name, rate, records, strikes, seen, confirmed, claims, status }): MemberView => {
      const share = attempt?.shares.get(slot);
      const measuring = status === 'ready' && share !== undefined && share.codes === undefined;
      const applied = Math.max(confirmed, ...claims.map(({ round }) => round));
      return { slot, name, rate, records, strikes, seen, applied, state: measuring ? 'measuring' : status };
    },
  );
  return { phase, round: ledger.round, peers, openedAt: attempt?.openedAt };
}
