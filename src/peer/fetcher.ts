/**
 * What a peer fetches from its host, and from other peers, besides the conversation: the journal, files by hash, and
 * snapshots.
 *
 * @module
 */
import type { Hex } from '../nouns.ts';
import type { Leaf } from '../numeric/merkle.ts';

/** Whoever has chunks of snapshots. Nothing that comes of it is verified. */
export interface ChunkSource {
  /** For messages. */
  readonly name: string;
  /** @throws {Fault} HOST_UNREACHABLE, DOWNLOAD_FAILED */
  chunk(name: Hex): Promise<Uint8Array>;
}

/** Weights after `round` rounds. */
export interface SnapshotOffer {
  readonly round: number;
  /** Of the Merkle tree over these weights, in order. There is at least one. */
  readonly leaves: readonly Leaf[];
  /** Of sums that make the same weights of the base: `Replica.compose`. The first source has their chunks. */
  readonly sums?: readonly Leaf[];
  /** Who has the chunks: the host, or what this machine keeps, then others. */
  readonly sources: readonly [ChunkSource, ...ChunkSource[]];
  /** What must be known of the journal to go on from some round up to `round`: `encodeStanding`. */
  readonly standing?: Uint8Array;
  /** These are this machine's own weights of an earlier stay: no record of the journal need say so. */
  readonly own?: true;
}

/** All calls throw {Fault} HOST_UNREACHABLE or DOWNLOAD_FAILED where the network does. */
export interface Fetcher {
  /**
   * The journal from byte `from` to its end.
   * @throws {Fault} JOURNAL_FORKED if it is shorter than that
   */
  journal(from: number): Promise<Uint8Array>;
  /** Bytes `from` … `from + length - 1` of the file with this hash. They are not verified. */
  blob(sha256: Hex, from: number, length: number): Promise<Uint8Array>;
  /** The newest snapshot, if the host offers one. */
  snapshot(): Promise<SnapshotOffer | undefined>;
}
