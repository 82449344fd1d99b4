/**
 * Krum and Multi-Krum — Blanchard, El Mhamdi, Guerraoui, Stainer 2017, arXiv:1703.02757, section 4:
 *
 *     s(i) = Σ |x_i - x_j|² over the neighbours j of i,      Krum: the x_i of the lowest s(i)
 *
 * Multi-Krum is the mean of the n - f vectors of the lowest scores. The neighbours are the n - f - 1 nearest, as in ByzFL:
 * so many are honest beside an honest one; the paper takes n - f - 2.
 *
 * @module
 */
import { lowest, squaredDistances } from './distance.ts';
import { average } from './mean.ts';
import { checkMinority, received, type Vectors } from './vectors.ts';

/** @returns (d) one of the vectors, copied; of equal scores, the first's @throws {RangeError} as `received`, and unless 2 f < n */
export function krum(vectors: Vectors, f: number): Float64Array {
  const x = received(vectors);
  return Float64Array.from(x[lowest(scores(x, f), 1)[0]!]!);
}

/** @returns (d) @throws {RangeError} as `received`, and unless 2 f < n */
export function multiKrum(vectors: Vectors, f: number): Float64Array {
  const x = received(vectors);
  return average(lowest(scores(x, f), x.length - f).map((i) => x[i]!));
}

/** (n) s(i). */
function scores(vectors: Vectors, f: number): Float64Array {
  checkMinority(f, vectors.length);
  return Float64Array.from(squaredDistances(vectors), (row) =>
    // The least of a row is the vector's own 0, which adds nothing.
    row
      .sort()
      .subarray(0, vectors.length - f)
      .reduce((sum, squared) => sum + squared, 0),
  );
}
