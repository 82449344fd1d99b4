/**
 * Which Philox words belong to what (docs/NUMBERS.md 2): key = (round, run), counter = (block,
 * stream << 28 | component << 20 | tensor id, sample, slot). The columns of lazy directions have a round of their own.
 *
 * @module
 */
import type { DirectionKey, DirectionKind } from '../nouns.ts';
import type { TensorNoise } from './kernels.ts';
import { philox } from './philox.ts';

export const DENSE_STREAM = 0;
/** Row factors of low-rank directions. */
export const U_STREAM = 1;
/** Column factors of low-rank directions. */
export const V_STREAM = 2;
export const BINOMIAL_STREAM = 3;
/** Rounding of coefficients to integers. */
export const ROUNDING_STREAM = 4;
export const MASK_STREAM = 6;
export const ORDER_STREAM = 7;
export const ADAPTER_STREAM = 8;
export const ASSIGNMENT_STREAM = 9;
export const POOL_STREAM = 10;
export const TEST_STREAM = 15;

/** Signs of a Philox block. */
export const BLOCK = 128;

/** Tensor ids are below this: 20 bits of the counter. */
export const MAX_TENSORS: number = 2 ** 20;
/** Outer products of a low-rank direction: 8 bits of the counter. */
export const MAX_RANK = 255;

/** The second counter word. */
export const lane = (stream: number, component: number, tensorId: number): number =>
  ((stream << 28) | (component << 20) | tensorId) >>> 0;

/** The round that keys the column factors of a direction (LOZO, arXiv:2410.07698: V lasts for ν rounds). */
export const columnRound = ({ round, columns = round }: DirectionKey): number => columns;

/** Block `block` of a stream: four u32 words, into `out`. */
export const block = (
  key: DirectionKey,
  stream: number,
  component: number,
  tensorId: number,
  block: number,
  out: Uint32Array,
): Uint32Array => {
  const round = stream === V_STREAM ? columnRound(key) : key.round;
  return philox(round, key.run, block, lane(stream, component, tensorId), key.sample, key.slot, out);
};

const words = new Uint32Array(4);

/** The word that rounds a record's coefficient on a tensor. @param age rounds since it was measured: momentum adds it again. */
export const roundingWord = (key: DirectionKey, tensorId: number, age = 0): number =>
  block(key, ROUNDING_STREAM, 0, tensorId, age >>> 2, words)[age & 3]!;

/** Low-rank directions have factors here; every other tensor gets dense noise. */
export const isMatrix = (shape: readonly number[]): boolean => shape.length === 2 && shape[0]! > 1 && shape[1]! > 1;

/** Elements of a tensor. */
export const elements = (tensor: TensorNoise): number => tensor.shape.reduce((a, b) => a * b, 1);

/** Whether a direction has low-rank factors on this tensor. */
export const isLowRank = (kind: DirectionKind, tensor: TensorNoise): boolean =>
  kind === 'lowrank' && isMatrix(tensor.shape);

/** @throws {RangeError} unless `length` elements are the whole of the tensor, and its id and the rank fit the counter. */
export function checkTensor(length: number, tensor: TensorNoise, rank: number): void {
  const { id, shape } = tensor;
  if (elements(tensor) !== length) throw new RangeError(`"q" expected the elements of (${shape}), got ${length}`);
  if (!(Number.isInteger(id) && id >= 0 && id < MAX_TENSORS))
    throw new RangeError(`"tensor.id" expected 0 … ${MAX_TENSORS - 1}, got ${id}`);
  if (!(Number.isInteger(rank) && rank >= 1 && rank <= MAX_RANK))
    throw new RangeError(`"rank" expected 1 … ${MAX_RANK}, got ${rank}`);
}

/** Words of a mask over so many elements: their bits lie as the signs of whole blocks do. */
export const maskWords = (length: number): number => 4 * Math.ceil(length / BLOCK);

/** @throws {RangeError} unless the bits of `moved`, if there are any, are those of the tensor, and noise is dense */
export function checkMoved(kind: DirectionKind, tensor: TensorNoise): void {
  const { moved } = tensor;
  if (moved === undefined) return;
  if (isLowRank(kind, tensor)) throw new RangeError('"tensor.moved" expected none with low-rank noise, got a mask');
  const words = maskWords(elements(tensor));
  if (moved.length !== words) throw new RangeError(`"tensor.moved" expected ${words} words, got ${moved.length}`);
}

/** @throws {RangeError} unless elements `first … first + length - 1` are of the tensor, and whole rows where noise is low-rank. */
export function checkPart(first: number, length: number, kind: DirectionKind, tensor: TensorNoise): void {
  const all = elements(tensor);
  if (!(Number.isInteger(first) && first >= 0 && first + length <= all))
    throw new RangeError(`"first" expected 0 … ${all - length}, got ${first}`);
  if (!isLowRank(kind, tensor)) return;
  const columns = tensor.shape[1]!;
  if (first % columns !== 0 || length % columns !== 0)
    throw new RangeError(`"first" expected whole rows of ${columns}, got ${length} elements from ${first} on`);
}

/** @returns elements of a factor when `length` floats hold both sides of it. @throws {RangeError} naming what does not fit */
export function factorLength(length: number, keys: number, rank: number, first: number): number {
  if (!(Number.isInteger(first) && first >= 0 && first % BLOCK === 0))
    throw new RangeError(`"first" expected a multiple of ${BLOCK}, got ${first}`);
  if (length % (2 * keys * rank) !== 0)
    throw new RangeError(`"out" expected a multiple of 2 · ${keys} · ${rank} floats, got ${length}`);
  return length / (2 * keys * rank);
}
