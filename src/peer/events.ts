/**
 * What a host and a participant tell the person in front of them. The command line prints these, as a live view or as
 * one JSON object a line.
 *
 * @module
 */
import { FAULTS, type FaultCode } from '../faults.ts';
import type { Entry, Hex } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import type { MemberView, Phase } from './state.ts';

export type HostEvent =
  | { readonly event: 'listening'; readonly address: string; readonly run: Hex; readonly round: number }
  | { readonly event: 'phase'; readonly phase: Phase }
  | { readonly event: 'peer'; readonly slot: number; readonly name: string; readonly state: MemberView['state'] }
  /** `slot` is absent when whoever it was had not proved who it is; `times`, so many since this was last told. */
  | {
      readonly event: 'refused';
      readonly slot?: number;
      readonly code: FaultCode;
      readonly detail: string;
      readonly times?: number;
    }
  /** For good, and in the journal: `reason` as it has it, `code` where that is none. */
  | { readonly event: 'evicted'; readonly slot: number; readonly code: FaultCode; readonly reason: string }
  | {
      readonly event: 'round';
      /** Rounds committed, this one included. */
      readonly round: number;
      readonly records: number;
      readonly usable: number;
      readonly peers: number;
      readonly gain: number;
      readonly scale: number;
      /** From its opening to its commit. */
      readonly ms: number;
      /** Of these, waiting for stable storage: contributions kept, and the commit. */
      readonly disk_ms: number;
    }
  | {
      readonly event: 'merge';
      /** Rounds committed, this one included. */
      readonly round: number;
      /** Inner steps of all peers in it. */
      readonly steps: number;
      readonly peers: number;
      /** From its opening to its commit. */
      readonly ms: number;
    }
  | { readonly event: 'evaluation'; readonly round: number; readonly metrics: Readonly<Record<string, number>> }
  | { readonly event: 'digest'; readonly round: number; readonly root: Hex }
  /** Records of a slot in rounds `from` … `to` - 1 count no more. */
  | { readonly event: 'revoked'; readonly slot: number; readonly from: number; readonly to: number }
  /** `round` rounds are left. */
  | { readonly event: 'rewound'; readonly round: number };

/** How a host ended. */
export interface Outcome {
  readonly reason: 'done' | 'stopped' | 'aborted';
  /** Rounds committed. */
  readonly round: number;
  /** Merkle root of the weights after these rounds; undefined if the run was aborted between two digests. */
  readonly root: Hex | undefined;
}

export type ParticipantEvent =
  | { readonly event: 'connected'; readonly slot: number; readonly head: number }
  /** Catching up: `round` of `head` rounds applied. */
  | { readonly event: 'catchup'; readonly round: number; readonly head: number }
  /** A chunk of a snapshot is here, and who sent it: the host, a peer at this address, or nobody, as it was `here`. */
  | { readonly event: 'chunk'; readonly source: string; readonly bytes: number }
  | { readonly event: 'ready'; readonly round: number }
  | { readonly event: 'measured'; readonly round: number; readonly records: number; readonly ms: number }
  /** Inner steps were taken: mean loss of them, as it was before each. */
  | {
      readonly event: 'trained';
      readonly round: number;
      readonly steps: number;
      readonly loss: number;
      readonly grad_norm: number;
      readonly ms: number;
    }
  /** A share is with the host, or a merge is here: in `ms`, of which `hidden_ms` went by while steps were taken. */
  | {
      readonly event: 'moved';
      readonly round: number;
      readonly what: 'share' | 'merge';
      readonly ms: number;
      readonly hidden_ms: number;
    }
  /** Weights stand at `round` rounds; `ms` is what the rounds since the last such event took to be owed to them. */
  | { readonly event: 'applied'; readonly round: number; readonly ms: number }
  /** `round` rounds are committed. */
  | { readonly event: 'round'; readonly round: number }
  /** Of the weights after `round` rounds, as told to the host: equal on all peers. `ms`: rounds owed were added in it. */
  | { readonly event: 'checksum'; readonly round: number; readonly checksum: Hex; readonly ms: number }
  | { readonly event: 'rebuild'; readonly round: number }
  /** The journal took something back; `round` rounds are committed then. */
  | { readonly event: 'revised'; readonly round: number }
  /** `retryMs`: it tries again after that. */
  | { readonly event: 'disconnected'; readonly code: FaultCode; readonly detail: string; readonly retryMs: number };

const isCode = (text: string): text is FaultCode => Object.hasOwn(FAULTS, text);

/** @param slot of whom it is refused, if that is known. */
export const refusalOf = (
  { code, detail }: { readonly code: string; readonly detail: string },
  slot: number | undefined,
): HostEvent => ({
  event: 'refused',
  ...(slot === undefined ? {} : { slot }),
  code: isCode(code) ? code : 'INTERNAL',
  detail,
});

/** What a host tells of an entry of its journal. @param times of the round that it ends. */
export function eventOf(entry: Entry, times: { readonly ms: number; readonly disk_ms: number }): HostEvent | undefined {
  switch (entry.type) {
    case 'evaluation':
      return { event: 'evaluation', round: entry.round, metrics: entry.metrics };
    case 'evict': {
      const { slot, reason } = entry;
      return { event: 'evicted', slot, code: isCode(reason) ? reason : 'EVICTED', reason };
    }
    case 'digest':
      return { event: 'digest', round: entry.round, root: toHex(entry.root) };
    case 'revoke':
      return { event: 'revoked', slot: entry.slot, from: entry.from, to: entry.to };
    case 'rewind':
      return { event: 'rewound', round: entry.round };
    case 'merge': {
      const { round, shares } = entry.merge;
      const steps = shares.reduce((sum, { count }) => sum + count, 0);
      return { event: 'merge', round: round + 1, steps, peers: shares.length, ms: times.ms };
    }
    case 'round': {
      const { header, segments } = entry.round;
      const { round, usable, gain, scale } = header;
      const records = segments.reduce((sum, { codes }) => sum + codes.length, 0);
      return { event: 'round', round: round + 1, records, usable, peers: segments.length, gain, scale, ...times };
    }
    default:
      return undefined;
  }
}
