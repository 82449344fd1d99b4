/**
 * Coordinate-wise median — Yin, Chen, Ramchandran, Bartlett 2018, arXiv:1803.01498, Definition 1.
 *
 * @module
 */
import { columnwise } from './columns.ts';
import { received, type Vectors } from './vectors.ts';

/** Of an even number of values, the mean of the middle two. @returns (d) @throws {RangeError} as `received` */
export const median = (vectors: Vectors): Float64Array =>
  columnwise(received(vectors), (x) => x[(x.length - 1) >> 1]! / 2 + x[x.length >> 1]! / 2);
