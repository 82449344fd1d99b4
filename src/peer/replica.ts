/**
 * A replica: the weights of one machine, and what they are asked to do. The peer loop and the host talk to this
 * interface; behind it stands the model in this thread, or in a worker thread so that computing never keeps the
 * network waiting.
 *
 * @module
 */

import type { Given, MergeState } from '../method/merge.ts';
import type { Revision } from '../method/revise.ts';
import type { ByteSource } from '../model/source.ts';
import type { Header, Merge, Round } from '../nouns.ts';
import type { Leaf } from '../numeric/merkle.ts';
import type { Powers } from '../optimizer/adamw.ts';

export interface Replica {
  /** Rounds applied so far. */
  round(): number;
  /** Applies committed rounds in order; the first must be round `round()`. @throws {Fault} RANGE, JOURNAL_ORDER */
  apply(rounds: readonly Round[]): Promise<void>;
  /**
   * Takes back what rounds that were applied hold too much: the weights are then, bit for bit, those of the rounds before
   * and `now`. @throws {Fault} NOT_REVOCABLE where the run's steps are no sums, RANGE
   */
  revise(revision: Revision): Promise<void>;
  /**
   * Measures records `from` … `from + count - 1` of the round that `header` opens (its gain and usable are ignored),
   * which must be `round()`. @returns their codes.
   */
  measure(header: Pick<Header, 'round' | 'scale' | 'clip'>, from: number, count: number): Promise<Int8Array>;
  /** Held-out metrics of the weights as they are: `eval/loss`, and what else the task has (`evaluate.ts`). */
  evaluate(): Promise<Readonly<Record<string, number>>>;
  /** Keyed linear checksum of all weights, 8 bytes (docs/NUMBERS.md 8). */
  checksum(): Promise<Uint8Array>;
  /** SHA-256 Merkle root of all weights, 32 bytes. */
  root(): Promise<Uint8Array>;
  /** Leaves of the Merkle tree over all weights, in order: what names the chunks of a snapshot (`chunks.ts`). */
  leaves(): Promise<readonly Leaf[]>;
  /** Fixed-point weights of all tensors in id order, i32 little-endian, handed to `write` chunk by chunk. */
  snapshot(write: (chunk: Uint8Array) => Promise<void>): Promise<void>;
  /**
   * Replaces the weights by a snapshot taken after `round` rounds. It is read twice: to be verified, and to be taken.
   * @param recent rounds before it that later steps look back on: `recentOf`. Default: none.
   * @param leaves of it: chunks that the weights already hold are then not read. Default: all of it is.
   * @throws {Fault} BLOB_MISMATCH if `root` differs, CONFIG_INVALID if the run's optimizer keeps more than weights; the
   * weights are what they were then
   */
  restore(
    round: number,
    snapshot: ByteSource,
    root: Uint8Array,
    recent?: readonly Round[],
    leaves?: readonly Leaf[],
  ): Promise<void>;
  /**
   * What the directions of the run's pool come to, (tensors of the view, pool) i32 little-endian, after the rounds so far.
   * @param rounds all of these as they count, asked for where the replica has not added them up from the first on.
   * @returns undefined where a joiner is served better by the weights: `areSumsWorth`
   */
  sums?(rounds: () => Promise<readonly Round[]>): Promise<Uint8Array | undefined>;
  /**
   * Makes the weights after `round` rounds of the base, which they must be, and of such sums.
   * @param root @param recent as in `restore`.
   * @throws {Fault} BLOB_MISMATCH if it is another root; the weights are the base then
   */
  compose?(round: number, sums: Uint8Array, root: Uint8Array, recent?: readonly Round[]): Promise<void>;
  close(): Promise<void>;
  /** In a run that exchanges vectors, in place of `apply` and `measure`. */
  readonly exchange?: Exchanger;
  /** Parts that one measurement is cut into and that are measured side by side. Default: 1. */
  readonly width?: number;
}

/** A committed merge with its chunks. */
export interface Merged {
  readonly merge: Merge;
  readonly chunks: readonly Uint8Array[];
  /** Of `monna`: chunks of the shares of others, for a peer that has one of its own; absent where it has none. */
  readonly others?: readonly (readonly Uint8Array[])[];
}

/** What the steps of a peer were, as they were before they were taken. */
export interface Trained {
  /** Mean over the steps, nats. */
  readonly loss: number;
  /** Of the last gradient, before clipping. */
  readonly grad_norm: number;
}

/** What is kept between rounds and follows from no journal: moments, momentum, a peer's own weights. Plain data. */
export interface ExchangeMemory {
  /** Rounds merged when it was taken. */
  readonly round: number;
  /** Of the inner optimizer; absent where no step was taken. */
  readonly inner?: { readonly moments: readonly Float32Array[]; readonly powers: Powers };
  /** Weights that have parted from the journal's, fragment by fragment. */
  readonly own?: readonly Int32Array[];
  /** Of whoever merges, by fragment and part; undefined for those that were not merged here. */
  readonly outer: readonly (readonly (MergeState | undefined)[])[];
}

/** Where what a peer remembers of a run lies between two processes. */
export interface MemoryKeeper {
  read(run: Uint8Array): Promise<ExchangeMemory | undefined>;
  write(run: Uint8Array, memory: ExchangeMemory): Promise<void>;
}

/** By fragment, part and chunk. */
export type Sizes = readonly (readonly (readonly number[])[])[];

export interface Summing {
  /** Σ of the squares of the mean, by part. */
  readonly squares: readonly number[];
  /** Slots whose shares are no vectors: what is kept is without them. */
  readonly refused: readonly number[];
}

/** What a replica does in a run that exchanges vectors (`method/diloco.ts`, `method/merge.ts`). */
export interface Exchanger {
  /** Applies merges in order; the first must be of round `round()`. @throws {Fault} RANGE, JOURNAL_ORDER, SHARE_INVALID */
  merge(merges: readonly Merged[]): Promise<void>;
  /** Takes steps `from` … `from + count - 1` of `round` on the data of `slot`. @throws {Fault} DIVERGED, RANGE */
  train(slot: number, round: number, from: number, count: number): Promise<Trained>;
  /** What the steps of `round` came to, as chunks; undefined where the peer is to keep it to itself. */
  share(slot: number, round: number): Promise<readonly Uint8Array[] | undefined>;
  /**
   * Adds up some parts of the shares of round `round()`, and keeps what they come to until `settle`.
   * @param shares with the chunks of these parts, part after part. @param parts of the fragment that the round merges.
   */
  sum(shares: readonly Given[], parts: readonly number[]): Promise<Summing>;
  /**
   * The change of the weights in the parts that were summed, as chunks, part after part.
   * @param norm of the mean over all parts of the fragment. @throws {Fault} DIVERGED
   */
  settle(norm: number): Promise<readonly Uint8Array[]>;
  /** What resuming needs besides the journal. */
  memory(): Promise<ExchangeMemory>;
  /** Goes on from it; of an earlier round, with what does not belong to a round. */
  recall(memory: ExchangeMemory): Promise<void>;
  /** Values of each chunk of each part of each fragment: what shares and merges consist of. */
  sizes(): Promise<Sizes>;
}
