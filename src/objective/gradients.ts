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
function accumulate(gradient: Float32Array, { access, shape, batch, choices }: Reading, bar: Float32Array): void {
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

/** Gradients as they come together, reading by reading. */
export interface Sums {
  /**
   * Where the cotangent of a reading may be written itself, as it is the first thing to be said of those elements.
   * Undefined: it is to be added. Of a tensor that is read in pieces all pieces must be.
   */
  place(tensor: string, reading: Reading): Float32Array | undefined;
  add(tensor: string, reading: Reading, bar: Float32Array): void;
  /** @returns the gradients, 0 where nothing was said. No more can be added then. */
  total(): ReadonlyMap<string, Float32Array>;
}

/** @param used arrays of gradients that are no longer needed, by name, to sum in: whatever they hold. */
export function gradientSums(
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
  used: ReadonlyMap<string, Float32Array> = new Map(),
): Sums {
  const arrays = new Map(
    tensors.map(({ name, shape }) => [name, used.get(name) ?? new Float32Array(size(shape))] as const),
  );
  /** Of each tensor that something was said of: where that begins; undefined: everywhere. */
  const said = new Map<string, Set<number> | undefined>();
  /** Zeros where nothing was said, so that there is something to add to. */
  function begin(tensor: string): Float32Array {
    const array = arrays.get(tensor)!;
    if (!said.has(tensor)) {
      array.fill(0);
      said.set(tensor, undefined);
    }
    return array;
  }
  return {
    place(tensor, { access, shape }) {
      if (access.as === 'rows') return undefined;
      const { first, count } = span(access, shape)!;
      const starts = said.has(tensor) ? said.get(tensor) : new Set<number>();
      if (!starts || starts.has(first)) return undefined;
      said.set(tensor, starts.add(first));
      return arrays.get(tensor)!.subarray(first, first + count);
    },
    add: (tensor, reading, bar) => accumulate(begin(tensor), reading, bar),
    total() {
      for (const tensor of arrays.keys()) begin(tensor);
      return arrays;
    },
  };
}
