/**
 * Nearest-neighbour mixing — Allouah et al. 2023, arXiv:2302.01772: every vector becomes the mean of its n - f
 * nearest, itself among them, before another rule aggregates them. For data that differ from sender to sender.
 *
 * @module
 */
import { lowest, squaredDistances } from './distance.ts';
import { average } from './mean.ts';
import { checkMinority, received, type Vectors } from './vectors.ts';

/** @returns n times (d) @throws {RangeError} as `received`, and unless 2 f < n */
export function nnm(vectors: Vectors, f: number): Float64Array[] {
  const x = received(vectors);
  checkMinority(f, x.length);
  return squaredDistances(x).map((row) => average(lowest(row, x.length - f).map((i) => x[i]!)));
}
