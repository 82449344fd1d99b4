/**
 * Integer noise, the definition (docs/NUMBERS.md 3): which random bit belongs to which element.
 *
 * @module
 */
import type { DirectionKey, DirectionKind } from '../../nouns.ts';
import { isMoved } from '../element-mask.ts';
import type { TensorNoise } from '../kernels.ts';
import { BINOMIAL_STREAM, block, checkMoved, DENSE_STREAM, elements, isLowRank, U_STREAM, V_STREAM } from '../noise.ts';

/** Element e of a block of 128 signs reads bit 31 - (e >> 2) of word e & 3; set means -1. */
const sign = (words: Uint32Array, e: number): number => (words[e & 3]! << (e >>> 2) < 0 ? -1 : 1);

/** Element i of a Rademacher stream: ±1. */
export function signAt(
  key: DirectionKey,
  stream: number,
  component: number,
  tensorId: number,
  i: number,
  words: Uint32Array,
): number {
  return sign(block(key, stream, component, tensorId, i >>> 7, words), i & 127);
}

/** The first n elements of a Rademacher stream. */
export function rademacher(
  key: DirectionKey,
  stream: number,
  component: number,
  tensorId: number,
  n: number,
): Int16Array {
  const words = new Uint32Array(4);
  const z = new Int16Array(n);
  for (let i = 0; i < n; i++) {
    if ((i & 127) === 0) block(key, stream, component, tensorId, i >>> 7, words);
    z[i] = sign(words, i & 127);
  }
  return z;
}

/** Set bits of a u16. */
function popcount(x: number): number {
  let count = 0;
  for (; x !== 0; x &= x - 1) count += 1;
  return count;
}

/** Variance 4: element e of a block of 8 counts the bits of a half of word e & 3, the low half first, less 8. */
function binomial(key: DirectionKey, tensorId: number, n: number): Int16Array {
  const words = new Uint32Array(4);
  const z = new Int16Array(n);
  for (let i = 0; i < n; i++) {
    if ((i & 7) === 0) block(key, BINOMIAL_STREAM, 0, tensorId, i >>> 3, words);
    z[i] = popcount((words[i & 3]! >>> (i & 4 ? 16 : 0)) & 0xffff) - 8;
  }
  return z;
}

/** Σ_k u_k[i] v_k[j] over the outer products, row-major. */
function lowRank(key: DirectionKey, tensorId: number, rows: number, columns: number, rank: number): Int16Array {
  const z = new Int16Array(rows * columns);
  for (let k = 0; k < rank; k++) {
    const u = rademacher(key, U_STREAM, k, tensorId, rows);
    const v = rademacher(key, V_STREAM, k, tensorId, columns);
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) z[i * columns + j]! += u[i]! * v[j]!;
  }
  return z;
}

/** z on one tensor, (elements,) row-major. */
export function direction(tensor: TensorNoise, kind: DirectionKind, rank: number, key: DirectionKey): Int16Array {
  checkMoved(kind, tensor);
  const { moved } = tensor;
  const z = everywhere(tensor, kind, rank, key);
  return moved ? z.map((x, i) => (isMoved(moved, i) ? x : 0)) : z;
}

/** z before anything is held still. */
function everywhere(tensor: TensorNoise, kind: DirectionKind, rank: number, key: DirectionKey): Int16Array {
  const { id, shape } = tensor;
  if (isLowRank(kind, tensor)) return lowRank(key, id, shape[0]!, shape[1]!, rank);
  if (kind === 'binomial') return binomial(key, id, elements(tensor));
  return rademacher(key, DENSE_STREAM, 0, id, elements(tensor));
}
