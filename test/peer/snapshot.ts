/** A whole snapshot in memory. */
import type { Replica } from '../../src/peer/replica.ts';

export async function snapshotOf(replica: Pick<Replica, 'snapshot'>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  await replica.snapshot(async (piece) => void pieces.push(piece));
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}
