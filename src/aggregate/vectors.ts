/**
 * What is aggregated: n vectors of d elements each, one a sender, of which up to f may say anything.
 *
 * A vector with an element that is NaN or infinite counts as not received, in every aggregator: it is left out, n is the
 * number of the others, and f stays what it was. Where n > 3 f, senders of such vectors cannot stop an aggregation: n - f
 * are left, more than 2 f.
 *
 * @module
 */

/** (d) */
export type Vector = Float32Array | Float64Array;

/** n times (d), in the order of their senders. */
export type Vectors = readonly Vector[];

/**
 * @returns the vectors whose elements are all finite, in their order.
 * @throws {RangeError} where lengths differ, or none is left.
 */
export function received(vectors: Vectors): Vectors {
  const d = vectors[0]?.length;
  const other = vectors.findIndex(({ length }) => length !== d);
  if (other >= 0) throw new RangeError(`"vectors" expected ${d} elements in each, got ${vectors[other]!.length}`);
  const finite = vectors.filter(allFinite);
  if (finite.length === 0)
    throw new RangeError(`"vectors" expected a vector without NaN or infinity, got none of ${vectors.length}`);
  return finite;
}

/** Whether no element is NaN or infinite. */
export function allFinite(vector: Vector): boolean {
  for (let i = 0; i < vector.length; i++) if (!Number.isFinite(vector[i]!)) return false;
  return true;
}

/** @throws {RangeError} unless f is an integer from 0 to below n / 2: a majority of what is aggregated must be honest. */
export function checkMinority(f: number, n: number): void {
  if (!(Number.isInteger(f) && f >= 0 && 2 * f < n))
    throw new RangeError(`"f" expected an integer with 0 <= 2 f < ${n} vectors received, got ${f}`);
}
