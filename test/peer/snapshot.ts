/** Whole snapshots in memory. */
import { chunksOf } from '../../src/peer/chunks.ts';
import type { SnapshotOffer } from '../../src/peer/fetcher.ts';
import type { Replica } from '../../src/peer/replica.ts';
import { fakeCrypto } from './fake.ts';

export async function snapshotOf(replica: Pick<Replica, 'snapshot'>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  await replica.snapshot(async (piece) => void pieces.push(piece));
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** The weights as they are now, as a host offers them. @param change of a chunk on its way. */
export async function offerOf(
  replica: Pick<Replica, 'round' | 'leaves' | 'snapshot'>,
  change: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
): Promise<SnapshotOffer> {
  const leaves = await replica.leaves();
  const bytes = await snapshotOf(replica);
  const chunks = new Map(
    chunksOf(leaves, fakeCrypto.sha256).map(({ name, at, bytes: length }) => [name, bytes.slice(at, at + length)]),
  );
  const sources = [{ name: 'the host', chunk: async (name: string) => change(chunks.get(name)!) }] as const;
  return { round: replica.round(), leaves, sources };
}
