/**
 * Weights out of a snapshot: whether it is to be believed, its chunks from whoever has them, and the replica set to it.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { ByteSource } from '../model/source.ts';
import type { Hex, Round } from '../nouns.ts';
import { concatBytes, equalBytes } from '../numeric/bytes.ts';
import type { Leaf } from '../numeric/merkle.ts';
import type { ChunkStore, Crypto } from '../ports.ts';
import { type Chunk, chunksOf, isKept, rootOfLeaves, storedSnapshot } from './chunks.ts';
import type { ParticipantEvent } from './events.ts';
import type { ChunkSource, SnapshotOffer } from './fetcher.ts';
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
  { round, leaves, sums, sources, own }: SnapshotOffer,
  { replica, ledger: { round: last, digests, firm }, recent, crypto, chunks = inMemory, emit }: Restoring,
): Promise<Uint8Array | undefined> {
  const { sha256 } = crypto;
  const root = rootOfLeaves(leaves, sha256);
  const signed = digests.get(round);
  if (round > last || (signed === undefined ? !own || round > firm : !equalBytes(root, signed))) return undefined;
  /** @returns `all`, in a store where those that are `wanted` came to lie. */
  async function gathered(
    all: readonly Chunk[],
    wanted: readonly Chunk[],
    from: readonly ChunkSource[],
  ): Promise<ByteSource> {
    const store = await chunks(new Set(wanted.map(({ name }) => name)));
    const progress = (source = 'here', bytes: number): void => emit?.({ event: 'chunk', source, bytes });
    await gather({ wanted, sources: from, store, crypto, progress });
    return storedSnapshot(all, store);
  }
  /** Of the base and sums. */
  async function compose(all: readonly Chunk[]): Promise<void> {
    const source = await gathered(all, all, sources.slice(0, 1));
    const pieces: Uint8Array[] = [];
    for (const { at, bytes } of all) pieces.push(await source.read(at, bytes));
    await replica.compose!(round, concatBytes(...pieces), root, recent);
  }
  async function restore(): Promise<void> {
    const all = chunksOf(leaves, sha256);
    const here = chunksOf(await replica.leaves(), sha256);
    const wanted = all.filter((chunk, i) => !isKept(chunk, i, here));
    await replica.restore(round, await gathered(all, wanted, sources), root, recent, leaves);
  }
  // Nobody has signed for sums before the weights are made of them: they may not be more than these.
  const isOffered = sums !== undefined && bytesOf(sums) < bytesOf(leaves);
  const isComposed =
    isOffered && replica.compose && replica.round() === 0 && (await holds(() => compose(chunksOf(sums, sha256))));
  return isComposed || (await holds(restore)) ? root : undefined;
}

const bytesOf = (leaves: readonly Leaf[]): number => leaves.reduce((sum, { bytes }) => sum + bytes, 0);

/** Whether weights came to be what was signed. @throws {Fault} what the network does */
async function holds(attempt: () => Promise<void>): Promise<boolean> {
  try {
    await attempt();
    return true;
  } catch (error) {
    if (error instanceof Fault && error.code === 'BLOB_MISMATCH') return false;
    throw error;
  }
}
