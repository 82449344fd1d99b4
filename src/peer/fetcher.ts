/**
 * What a peer fetches from its host besides the conversation: the journal and files by hash.
 *
 * @module
 */
import type { Hex } from '../nouns.ts';

/** Weights after `round` rounds. */
export interface SnapshotOffer {
  readonly round: number;
  /** SHA-256 Merkle root of these weights. */
  readonly root: Uint8Array;
  read(): Promise<Uint8Array>;
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
