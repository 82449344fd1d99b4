/**
 * Weights out of a snapshot: whether it is to be believed, its chunks from whoever has them, and the replica set to it.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Hex, Round } from '../nouns.ts';
import { equalBytes } from '../numeric/bytes.ts';
import type { ChunkStore, Crypto } from '../ports.ts';
import { chunksOf, isKept, rootOfLeaves, storedSnapshot } from './chunks.ts';
import type { ParticipantEvent } from './events.ts';
import type { SnapshotOffer } from './fetcher.ts';
import { gather } from './gather.ts';
import type { Ledger } from './ledger.ts';
import type { Replica } from './replica.ts';

/** Where chunks are kept while a snapshot is gathered. @param wanted by name: others may go. */
export type OpenChunks = (wanted: ReadonlySet<Hex>) => Promise<Pick<ChunkStore, 'get' | 'has' | 'put'>>;

const inMemory: OpenChunks = async () => {
  const all = new Map<Hex, Uint8Array>();
  return {
    get: async (name) => all.get(name),
    has: (name) => all.has(name),
    put: async (name, bytes) => void all.set(name, bytes),
  };
};

export interface Restoring {
  /** Behind the snapshot. */
  readonly replica: Replica;
  readonly ledger: Ledger;
  /** Rounds before it that later steps look back on: `recentOf`. */
  readonly recent: readonly Round[];
  readonly crypto: Crypto;
  /** Default: in memory. */
  readonly chunks?: OpenChunks | undefined;
  readonly emit?: ((event: ParticipantEvent) => void) | undefined;
}

/**
 * Takes a snapshot whose root the journal has. This machine's own, of rounds that nothing was ever taken back from, needs
 * no such word.
 * @returns its root; undefined where it is not what it says, and the weights are what they were.
 * @throws {Fault} HOST_UNREACHABLE, DOWNLOAD_FAILED; what was gathered stays where `chunks` keeps it
 */
export async function restoreFrom(
  { round, leaves, sources, own }: SnapshotOffer,
  { replica, ledger: { round: last, digests, firm }, recent, crypto, chunks = inMemory, emit }: Restoring,
): Promise<Uint8Array | undefined> {
  const { sha256 } = crypto;
  const root = rootOfLeaves(leaves, sha256);
  const signed = digests.get(round);
  if (round > last || (signed === undefined ? !own || round > firm : !equalBytes(root, signed))) return undefined;
  try {
    const all = chunksOf(leaves, sha256);
    const here = chunksOf(await replica.leaves(), sha256);
    const wanted = all.filter((chunk, i) => !isKept(chunk, i, here));
    const store = await chunks(new Set(wanted.map(({ name }) => name)));
    const progress = (source = 'here', bytes: number): void => emit?.({ event: 'chunk', source, bytes });
    await gather({ wanted, sources, store, crypto, progress });
    await replica.restore(round, storedSnapshot(all, store), root, recent, leaves);
    return root;
  } catch (error) {
    if (error instanceof Fault && error.code === 'BLOB_MISMATCH') return undefined;
    throw error;
  }
}
