/**
 * Cotangents of what programs read → gradients of tensors, by how they read them. A tensor that is read in several
 * places, as an embedding that is the head as well, gets the sum.
 *
 * @module
 */
import { size } from '../graph/shape.ts';
import type { Access } from '../model/stage.ts';
import type { Batch } from '../nouns.ts';
import { rowsOf, span, width } from './feeds.ts';

/** A place where a tensor is read: how, and for whom. */
export interface Reading {
  readonly access: Access;
  /** Of the tensor as stored. */
  readonly shape: readonly number[];
  readonly batch: Batch;
  readonly choices: Int32Array;
}

/** Elements of the input that reads so, hence of its cotangent. */
export function readLength({ access, shape, batch, choices }: Reading): number {
  return access.as === 'rows' ? rowsOf(access, batch, choices).length * width(shape) : span(access, shape)!.count;
}

/** gradient += what the cotangent `bar` of an input says of it. @param gradient of the whole tensor */
export function accumulate(
  gradient: Float32Array,
  { access, shape, batch, choices }: Reading,
  bar: Float32Array,
): void {
  if (access.as !== 'rows') {
    addTo(gradient, bar, span(access, shape)!.first);
    return;
  }
  const columns = width(shape);
  for (const [i, row] of rowsOf(access, batch, choices).entries())
    addTo(gradient, bar.subarray(i * columns, (i + 1) * columns), row * columns);
}

/** sum[first + i] += x[i] */
export function addTo(sum: Float32Array, x: Float32Array, first = 0): void {
  for (let i = 0; i < x.length; i++) sum[first + i]! += x[i]!;
}

/** Zeros for each of these tensors. */
export const zeroGradients = (
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
): Map<string, Float32Array> => new Map(tensors.map(({ name, shape }) => [name, new Float32Array(size(shape))]));
