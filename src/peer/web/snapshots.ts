/**
 * The weights of a peer as its browser keeps them, chunk by chunk, so that a tab that comes back fetches nothing twice,
 * and one whose download was cut goes on with it.
 *
 * @module
 */
import type { Hex } from '../../nouns.ts';
import type { Leaf } from '../../numeric/merkle.ts';
import { chunksOf } from '../chunks.ts';
import type { Fetcher, SnapshotOffer } from '../fetcher.ts';
import type { Replica } from '../replica.ts';
import type { OpenChunks } from '../restoring.ts';
import { webCrypto } from './crypto.ts';
import type { Database } from './database.ts';
import { addPiece, dropPieces, pieceSource, wholesNamed } from './wholes.ts';

/** Farther behind than this, and the host's snapshot is fetched, if it has one, in place of replaying from our own. */
const MOST_REPLAYED = 256;

interface Kept {
  readonly run: Hex;
  readonly round: number;
  readonly leaves: readonly Leaf[];
}

/** What one peer keeps of one run. A peer keeps one snapshot: that of another run makes room for it. */
export interface Snapshots {
  /** Rounds of the one that is kept; 0 where there is none. */
  round(): number;
  /** Keeps the weights as they are. Nobody may change them meanwhile. */
  keep(replica: Pick<Replica, 'round' | 'leaves' | 'snapshot'>): Promise<void>;
  /** A fetcher that takes the kept snapshot for the host's where that saves a download. @param head rounds of the run. */
  before(fetcher: Fetcher, head: () => number): Fetcher;
  /** Where a snapshot of the host is gathered. */
  readonly chunks: OpenChunks;
}

/**
 * What a host offers, before it is known what of its run is kept here: without a standing where weights may be that need
 * rounds before it. @param me name of the peer.
 */
export async function firstOffer(db: Database, me: string, host: Fetcher): Promise<SnapshotOffer | undefined> {
  const offer = await host.snapshot();
  const kept = await db.get<Kept>('snapshots', me);
  if (offer === undefined || kept === undefined) return offer;
  const isNear = offer.round >= kept.round && offer.round - kept.round <= MOST_REPLAYED;
  const { standing: _, ...rest } = offer;
  return isNear ? rest : offer;
}

/** @param me name of the peer. */
export async function snapshotsOf(db: Database, me: string, run: Hex): Promise<Snapshots> {
  const found = await db.get<Kept>('snapshots', me);
  let kept = found?.run === run && found.leaves !== undefined ? found : undefined;
  const prefix = `chunk ${me} `;
  const nameOf = (chunk: Hex): string => prefix + chunk;
  /** Chunks that are here, the bytes of each. */
  const here = new Map<Hex, number>();
  for (const [name, bytes] of await wholesNamed(db, prefix)) here.set(name.slice(prefix.length), bytes);

  async function put(name: Hex, bytes: Uint8Array): Promise<void> {
    await addPiece(db, nameOf(name), 0, bytes);
    here.set(name, bytes.length);
  }
  async function keepOnly(wanted: ReadonlySet<Hex>): Promise<void> {
    for (const name of here.keys()) {
      if (wanted.has(name)) continue;
      here.delete(name);
      await dropPieces(db, nameOf(name));
    }
  }
  const get = async (name: Hex): Promise<Uint8Array | undefined> => {
    const bytes = here.get(name);
    return bytes === undefined ? undefined : pieceSource(db, nameOf(name), bytes, 'a kept chunk').read(0, bytes);
  };
  const namesOf = ({ leaves }: Pick<Kept, 'leaves'>): Set<Hex> =>
    new Set(chunksOf(leaves, webCrypto.sha256).map(({ name }) => name));

  const offerOf = ({ round, leaves }: Kept): SnapshotOffer => ({
    ...{ round, leaves, own: true },
    sources: [{ name: 'this browser', chunk: async (name) => (await get(name)) ?? new Uint8Array(0) }],
  });

  return {
    round: () => kept?.round ?? 0,
    async keep(replica) {
      const round = replica.round();
      const leaves = await replica.leaves();
      const names = chunksOf(leaves, webCrypto.sha256).map(({ name }) => name);
      let next = 0;
      await replica.snapshot(async (bytes) => {
        const name = names[next++]!;
        if (!here.has(name)) await put(name, bytes);
      });
      kept = { run, round, leaves };
      await db.put('snapshots', me, kept);
      await keepOnly(new Set(names));
    },
    before: (fetcher, head) => ({
      ...fetcher,
      async snapshot() {
        const theirs = await fetcher.snapshot();
        const near = kept !== undefined && head() - kept.round <= MOST_REPLAYED;
        return kept !== undefined && near ? offerOf(kept) : theirs;
      },
    }),
    async chunks(wanted) {
      await keepOnly(kept ? new Set([...wanted, ...namesOf(kept)]) : wanted);
      return { get, has: (name) => here.has(name), put };
    },
  };
}
