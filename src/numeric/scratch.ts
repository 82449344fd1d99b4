/**
 * Working memory of a forward pass: one array of the kernels, taken from in order and handed back in one go. Sized
 * before the first call, since WebAssembly memory that grows would detach every view of the weights.
 *
 * @module
 */
import type { Kernels } from './kernels.ts';

export interface Scratch {
  /** The next `length` floats. @throws {RangeError} when too little was set aside. */
  take(length: number): Float32Array;
  /** The next `length` bytes. @throws {RangeError} as `take` does */
  bytes(length: number): Int8Array;
  /** A place to return to. */
  mark(): number;
  /** Hands back everything taken since `mark`. */
  release(mark: number): void;
}

/** Sixteen bytes: what SIMD loads and ONNX Runtime both like. */
export const ALIGN = 4;

export const padded = (length: number): number => Math.ceil(length / ALIGN) * ALIGN;

/** Floats of scratch that so many bytes take. */
export const floatsOf = (bytes: number): number => padded(Math.ceil(bytes / 4));

/** The same memory as integers. */
export const asInts = ({ buffer, byteOffset, length }: Float32Array): Int32Array =>
  new Int32Array(buffer, byteOffset, length);

export function scratchOf(kernels: Kernels, length: number): Scratch {
  const all = kernels.f32(length);
  let next = 0;
  const take = (count: number): Float32Array => {
    const start = next;
    next += padded(count);
    if (next > length) throw new RangeError(`scratch holds ${length} floats, ${next} were asked for`);
    return all.subarray(start, start + count);
  };
  return {
    take,
    bytes: (count) => new Int8Array(all.buffer, take(floatsOf(count)).byteOffset, count),
    mark: () => next,
    release: (mark) => {
      next = mark;
    },
  };
}
