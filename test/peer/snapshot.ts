/** A whole snapshot in memory. */
import type { Replica } from '../../src/peer/replica.ts';

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
