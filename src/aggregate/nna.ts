/**
 * Nearest-neighbour averaging — El Mhamdi, Farhadkhani, Guerraoui, Gupta, Hoang 2023 (MoNNA), arXiv:2209.10931, Algorithm 1:
 * the mean of all vectors received but the f that lie farthest from a pivot, which is a peer's own vector.
 *
 * @module
 */
import { lowest, squaredDistance } from './distance.ts';
import { average } from './mean.ts';
import { allFinite, received, type Vector, type Vectors } from './vectors.ts';

/**
 * @param pivot (d) the peer's own vector. It counts as received, and is always among those kept: it stands first, and of
 *   equal distances the earlier is kept, so that not even copies of it push it out.
 * @param others (d) each, what else arrived, without the pivot.
 * @returns (d)
 * @throws {RangeError} where lengths differ, where the pivot is not finite, and unless more than f were received: a peer
 *   that has heard of fewer must wait.
 */
export function nna(pivot: Vector, others: Vectors, f: number): Float64Array {
  if (!allFinite(pivot)) throw new RangeError('"pivot" expected finite elements, got NaN or infinity');
  const x = received([pivot, ...others]);
  if (!(Number.isInteger(f) && f >= 0 && f < x.length))
    throw new RangeError(`"f" expected an integer with 0 <= f < ${x.length} vectors received, got ${f}`);
  const distances = Float64Array.from(x, (one) => squaredDistance(one, pivot));
  return average(lowest(distances, x.length - f).map((i) => x[i]!));
}
