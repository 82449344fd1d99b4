/**
 * Bucketing — Karimireddy, He, Jaggi 2022, arXiv:2006.09365, Algorithm 1: vectors are put into buckets of s at random, and
 * another rule aggregates the means of the buckets. f bad vectors spoil up to f buckets.
 *
 * @module
 */
import { average } from './mean.ts';
import { received, type Vector, type Vectors } from './vectors.ts';

/**
 * @param size s
 * @param order a permutation of 0 … n - 1, entropy of the caller; what is not finite is left out once it is applied.
 * @returns the means (d) of ⌈n / s⌉ buckets; the last may be smaller.
 * @throws {RangeError} as `received`, unless s is a positive integer, and unless `order` is a permutation
 */
export function bucketing(vectors: Vectors, size: number, order: ArrayLike<number>): Float64Array[] {
  if (!(Number.isInteger(size) && size >= 1)) throw new RangeError(`"size" expected a positive integer, got ${size}`);
  const x = received(shuffled(vectors, Array.from(order)));
  return Array.from({ length: Math.ceil(x.length / size) }, (_, b) => average(x.slice(b * size, (b + 1) * size)));
}

function shuffled(vectors: Vectors, order: readonly number[]): Vector[] {
  if (order.length !== vectors.length || vectors.some((_, i) => !order.includes(i)))
    throw new RangeError(`"order" expected a permutation of ${vectors.length} indices, got (${order})`);
  return order.map((i) => vectors[i]!);
}
