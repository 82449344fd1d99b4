/**
 * Which direction a record measures (docs/NUMBERS.md 3): one of its own, or one that it shares with other records of the
 * round (DeComFL, arXiv:2405.15861) or of the run (FedKSeed, arXiv:2312.06353). One function for both sides of a round:
 * what is measured and what is applied cannot be two directions.
 *
 * @module
 */
import { type DirectionKey, type DirectionSet, type Manifest, POOL_SLOT } from '../nouns.ts';
import { block, POOL_STREAM } from './noise.ts';
import { mulhi } from './philox.ts';

/** What a manifest says of the directions of its records. */
export type Drawing = Pick<Manifest, 'directions'> & { readonly direction: Pick<Manifest['direction'], 'lazy'> };

const words = new Uint32Array(4);

/** floor(w · size / 2^32) with the record's word of stream 10. */
const drawnFrom = (size: number, own: DirectionKey): number => mulhi(block(own, POOL_STREAM, 0, 0, 0, words)[0]!, size);

/** Directions of the run's pool; undefined where it has none. */
export const poolOf = (directions: DirectionSet | undefined): number | undefined =>
  directions && 'pool' in directions ? directions.pool : undefined;

/** The key of direction `sample` of the pool. */
export const poolKey = (run: number, sample: number): DirectionKey => ({ round: 0, run, sample, slot: POOL_SLOT });

/**
 * The key of the direction of a record.
 * @param own the record's name: round, run, its number in the round, SHARED_SLOT.
 */
export function directionKey({ direction: { lazy }, directions }: Drawing, own: DirectionKey): DirectionKey {
  const { round, run, sample, slot } = own;
  if (directions && 'pool' in directions) return poolKey(run, drawnFrom(directions.pool, own));
  const shared = directions ? sample % directions.shared : sample;
  if (lazy === undefined) return directions ? { round, run, sample: shared, slot } : own;
  return { round, run, sample: shared, slot, columns: round - (round % lazy) };
}
