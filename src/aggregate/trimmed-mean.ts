/**
 * Coordinate-wise trimmed mean — Yin, Chen, Ramchandran, Bartlett 2018, arXiv:1803.01498, Definition 2, with f / n as its β.
 *
 * @module
 */
import { columnwise } from './columns.ts';
import { checkMinority, received, type Vectors } from './vectors.ts';

/**
 * Of every coordinate, the mean of what is left without the f lowest and the f highest values.
 *
 * @returns (d) @throws {RangeError} as `received`, and unless 2 f < n
 */
export function trimmedMean(vectors: Vectors, f: number): Float64Array {
  const x = received(vectors);
  checkMinority(f, x.length);
  return columnwise(x, (ascending) => {
    let sum = 0;
    for (let k = f; k < ascending.length - f; k++) sum += ascending[k]!;
    return sum / (ascending.length - 2 * f);
  });
}
