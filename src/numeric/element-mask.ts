/**
 * Which elements of a tensor directions move (docs/NUMBERS.md 3): a part of them, the same for the whole run, so that a
 * record adds the same integers whenever it is applied. Sparse-MeZO (Liu et al. 2024, arXiv:2402.15751) moves the small
 * weights; a random part is its control (ZO-Bench, arXiv:2402.11592).
 *
 * @module
 */
import { type ElementMask, SHARED_SLOT } from '../nouns.ts';
import type { TensorNoise } from './kernels.ts';
import { block, elements, MASK_STREAM, maskWords } from './noise.ts';

/** The component of the mask stream that is of elements; component 0 is of tensors. */
const ELEMENTS = 1;

/** Whether element i moves: its bit lies where sign i of a stream would. */
export const isMoved = (moved: Uint32Array, i: number): boolean =>
  moved[((i >>> 7) << 2) | (i & 3)]! << ((i & 127) >>> 2) < 0;

/** Every element alone, by its word. */
function drawn({ kept, of }: ElementMask, id: number, run: number): (i: number) => boolean {
  const key = { round: 0, run, sample: 0, slot: SHARED_SLOT };
  const words = new Uint32Array(4);
  const bound = kept * 2 ** 32;
  return (i) => {
    if ((i & 3) === 0) block(key, MASK_STREAM, ELEMENTS, id, i >>> 2, words);
    return words[i & 3]! * of < bound;
  };
}

/** |q| is below 2^31: it is counted by its high bits, then within one of their values by its low ones. */
const LOW_BITS = 15;
const LOW = 2 ** LOW_BITS - 1;

/** The first place of a histogram by which `count` are reached, and how many are still wanted there. */
function reached(histogram: Uint32Array, count: number): readonly [place: number, wanted: number] {
  let place = 0;
  for (; histogram[place]! < count; place++) count -= histogram[place]!;
  return [place, count];
}

/** The `count` elements of smallest |q|; of equal ones those that come first. @param count 1 … elements of q */
function smallest(q: Int32Array, count: number): (i: number) => boolean {
  const high = new Uint32Array(2 ** 16);
  for (const x of q) high[Math.abs(x) >>> LOW_BITS]! += 1;
  const [top, wanted] = reached(high, count);
  const low = new Uint32Array(LOW + 1);
  for (const x of q) if (Math.abs(x) >>> LOW_BITS === top) low[Math.abs(x) & LOW]! += 1;
  const [rest, ties] = reached(low, wanted);
  const bound = top * 2 ** LOW_BITS + rest;
  let left = ties;
  return (i) => {
    const magnitude = Math.abs(q[i]!);
    return magnitude < bound || (magnitude === bound && left-- > 0);
  };
}

/**
 * The mask of a tensor.
 * @param q the base's integers, all of the tensor. @param run first word of the run id.
 * @returns (4 · blocks of 128) words: a set bit for each element that moves, see `isMoved`.
 */
export function elementMask(mask: ElementMask, tensor: TensorNoise, q: Int32Array, run: number): Uint32Array {
  const n = elements(tensor);
  const count = Math.floor((n * mask.kept + mask.of - 1) / mask.of);
  const moves = mask.by === 'random' ? drawn(mask, tensor.id, run) : smallest(q, count);
  const moved = new Uint32Array(maskWords(n));
  for (let i = 0; i < n; i++) if (moves(i)) moved[((i >>> 7) << 2) | (i & 3)]! |= 0x8000_0000 >>> ((i & 127) >>> 2);
  return moved;
}
