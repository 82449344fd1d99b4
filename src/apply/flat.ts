/**
 * Tensors end to end as one vector of integers, and floats added to it: what peers exchange knows no tensors.
 *
 * @module
 */
import { size } from '../graph/shape.ts';
import type { Fixed, Weights } from '../model/weights.ts';
import { checkRange, powerOfTwo } from '../numeric/fixed.ts';
import { addChange, isDecayed } from './change.ts';

/** Where a tensor lies in a flat vector. */
export interface Span {
  readonly name: string;
  /** First element, and how many. */
  readonly at: number;
  readonly count: number;
  readonly exponent: number;
  /** Whether weight decay is for it. */
  readonly decayed: boolean;
}

export interface Flat {
  readonly spans: readonly Span[];
  /** Elements in all. */
  readonly length: number;
}

/** @param tensors in the order in which they follow each other. */
export function flatOf(tensors: readonly Fixed[]): Flat {
  const spans: Span[] = [];
  let at = 0;
  for (const { name, shape, exponent } of tensors) {
    const count = size(shape);
    spans.push({ name, at, count, exponent, decayed: isDecayed(shape) });
    at += count;
  }
  return { spans, length: at };
}

/** Elements `from` … `from + length - 1` of it, as a vector of its own. */
export function partOf({ spans }: Flat, from: number, length: number): Flat {
  const inside = spans.flatMap(({ at, count, ...rest }) => {
    const first = Math.max(at, from);
    const end = Math.min(at + count, from + length);
    return first < end ? [{ ...rest, at: first - from, count: end - first }] : [];
  });
  return { spans: inside, length };
}

/** @returns (length,) q of all tensors: a copy. */
export async function readFlat(weights: Weights, { spans, length }: Flat): Promise<Int32Array> {
  const all = new Int32Array(length);
  for (const { name, at } of spans) await weights.visit(name, ({ tensor }) => all.set(tensor(name).q, at));
  return all;
}

/** @param all (length,) q of all tensors, which become theirs. */
export async function writeFlat(weights: Weights, { spans }: Flat, all: Int32Array): Promise<void> {
  for (const { name, at, count } of spans)
    await weights.visit(name, (page) => page.replace(name, 0, all.subarray(at, at + count)));
}

/**
 * all += change, rounded to the steps of each tensor once.
 * @param change (length,) in units of weights. @throws {Fault} RANGE naming the tensor
 */
export function addFlat({ spans }: Flat, all: Int32Array, change: Float32Array): void {
  for (const { name, at, count, exponent } of spans) {
    const end = at + count;
    checkRange(addChange(all.subarray(at, end), exponent, change.subarray(at, end), 0), name);
  }
}

/** @returns (length,) a - b in units of weights. */
export function differenceOf({ spans, length }: Flat, a: Int32Array, b: Int32Array): Float32Array {
  const difference = new Float32Array(length);
  for (const { at, count, exponent } of spans) {
    const unit = powerOfTwo(exponent);
    for (let i = at; i < at + count; i++) difference[i] = (a[i]! - b[i]!) * unit;
  }
  return difference;
}
