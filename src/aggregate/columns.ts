/**
 * What is decided coordinate by coordinate.
 *
 * @module
 */
import type { Vectors } from './vectors.ts';

/** @param of makes one number of the n values of a coordinate, ascending; they are overwritten after. @returns (d) */
export function columnwise(vectors: Vectors, of: (ascending: Float64Array) => number): Float64Array {
  const column = new Float64Array(vectors.length);
  return new Float64Array(vectors[0]!.length).map((_, i) => {
    for (let k = 0; k < column.length; k++) column[k] = vectors[k]![i]!;
    return of(column.sort());
  });
}
