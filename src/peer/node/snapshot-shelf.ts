/**
 * Snapshots that others may have of this machine, chunk by chunk: a host's, or those of a peer that shares.
 *
 * @module
 */
import { open } from 'node:fs/promises';
import type { Hex } from '../../nouns.ts';
import { encodeSnapshotOffer } from '../../wire/snapshot-offer.ts';
import { chunksOf } from '../chunks.ts';
import type { Mirrors } from '../mirrors.ts';
import type { Checkpoint } from './checkpoints.ts';
import { nodeCrypto } from './crypto.ts';
import type { SnapshotRoutes } from './http.ts';

/** As many as `saveCheckpoint` keeps. */
const KEPT = 2;

interface Place {
  readonly path: string;
  readonly at: number;
  readonly bytes: number;
}

interface Shelved {
  readonly checkpoint: Checkpoint;
  readonly standing?: Uint8Array;
  readonly places: ReadonlyMap<Hex, Place>;
}

export interface SnapshotShelf {
  /** The newest. */
  latest(): (Checkpoint & { readonly standing?: Uint8Array }) | undefined;
  /** Bytes of a chunk; undefined where none has this name. */
  chunk(name: Hex): Promise<Uint8Array | undefined>;
  /** @param standing what goes with it: `SavedSnapshot`. */
  put(checkpoint: Checkpoint, standing?: Uint8Array): void;
  /** Those of more than `round` rounds: something of them was taken back. */
  drop(round: number): void;
}

/** By name. */
const placesIn = ({ path, leaves }: Pick<Checkpoint, 'path' | 'leaves'>): [Hex, Place][] =>
  chunksOf(leaves, nodeCrypto.sha256).map(({ name, at, bytes }) => [name, { path, at, bytes }]);

export function snapshotShelf(): SnapshotShelf {
  const shelf: Shelved[] = [];
  return {
    latest() {
      const newest = shelf[0];
      return newest && { ...newest.checkpoint, ...(newest.standing && { standing: newest.standing }) };
    },
    async chunk(name) {
      for (const { places } of shelf) {
        const place = places.get(name);
        if (place !== undefined) return readPlace(place);
      }
      return undefined;
    },
    put(checkpoint, standing) {
      const { sums } = checkpoint;
      const places = new Map([...placesIn(checkpoint), ...(sums ? placesIn(sums) : [])]);
      shelf.unshift({ checkpoint, places, ...(standing && { standing }) });
      shelf.length = Math.min(shelf.length, KEPT);
    },
    drop(round) {
      shelf.splice(0, shelf.length, ...shelf.filter(({ checkpoint }) => checkpoint.round <= round));
    },
  };
}

/** What a host answers of it. */
export const snapshotRoutes = (shelf: SnapshotShelf, mirrors: Mirrors): SnapshotRoutes => ({
  latest(asker) {
    const newest = shelf.latest();
    if (newest === undefined) return undefined;
    const { round, leaves, sums, standing = new Uint8Array(0) } = newest;
    const others = mirrors.of(round, asker);
    return encodeSnapshotOffer({ round, leaves, sums: sums?.leaves ?? [], mirrors: others, standing });
  },
  chunk: shelf.chunk,
  announce: mirrors.announce,
});

/** undefined where the file has gone. */
async function readPlace({ path, at, bytes }: Place): Promise<Uint8Array | undefined> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const into = new Uint8Array(bytes);
    const { bytesRead } = await file.read(into, 0, bytes, at);
    return bytesRead === bytes ? into : undefined;
  } finally {
    await file.close();
  }
}
