/**
 * The weights of a peer as its browser keeps them, so that a tab that comes back fetches nothing twice.
 *
 * @module
 */
import type { Hex } from '../../nouns.ts';
import type { Fetcher, SnapshotOffer } from '../fetcher.ts';
import type { Replica } from '../replica.ts';
import type { Database } from './database.ts';
import { addPiece, dropPieces, pieceSource } from './wholes.ts';

/** Farther behind than this, and the host's snapshot is fetched, if it has one, in place of replaying from our own. */
const MOST_REPLAYED = 256;

interface Kept {
  readonly run: Hex;
  readonly round: number;
  readonly root: Uint8Array;
  readonly bytes: number;
  /** Of its pieces. */
  readonly name: string;
}

/** What one peer keeps of one run. A peer keeps one snapshot: that of another run makes room for it. */
export interface Snapshots {
  /** Rounds of the one that is kept; 0 where there is none. */
  round(): number;
  /** Keeps the weights as they are. Nobody may change them meanwhile. */
  keep(replica: Pick<Replica, 'round' | 'root' | 'snapshot'>): Promise<void>;
  /** A fetcher that takes the kept snapshot for the host's where that saves a download. @param head rounds of the run. */
  before(fetcher: Fetcher, head: () => number): Fetcher;
}

/** @param me name of the peer. */
export async function snapshotsOf(db: Database, me: string, run: Hex): Promise<Snapshots> {
  const found = await db.get<Kept>('snapshots', me);
  let kept = found?.run === run ? found : undefined;
  /** The one that takes up room. */
  let stored = found;
  const offerOf = ({ round, root, bytes, name }: Kept): SnapshotOffer => ({
    round,
    root,
    read: () => pieceSource(db, name, bytes, 'the kept snapshot').read(0, bytes),
  });
  return {
    round: () => kept?.round ?? 0,
    async keep(replica) {
      const round = replica.round();
      const name = `snapshot ${me} ${run} ${round}`;
      await dropPieces(db, name);
      const root = await replica.root();
      let bytes = 0;
      await replica.snapshot(async (piece) => {
        await addPiece(db, name, bytes, piece);
        bytes += piece.length;
      });
      const before = stored;
      stored = kept = { run, round, root, bytes, name };
      await db.put('snapshots', me, kept);
      if (before !== undefined && before.name !== name) await dropPieces(db, before.name);
    },
    before: (fetcher, head) => ({
      ...fetcher,
      snapshot: async () =>
        kept !== undefined && head() - kept.round <= MOST_REPLAYED ? offerOf(kept) : fetcher.snapshot(),
    }),
  };
}
