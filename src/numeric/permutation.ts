/**
 * The order in which an epoch visits the data (docs/NUMBERS.md 7): the same on every peer, known to all in advance.
 *
 * @module
 */
import { lane, ORDER_STREAM } from './noise.ts';
import { mulhi, philox } from './philox.ts';

/**
 * Fisher–Yates of 0 … n-1 with the words w_i of stream 7 under key (epoch, run): for i from n-1 down to 1, swap
 * entries i and floor(w_i (i+1) / 2^32).
 *
 * @returns (n,) sample indices in the order they are visited.
 */
export function permutation(n: number, epoch: number, run: number): Int32Array {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  const words = new Uint32Array(4);
  let have = -1;
  for (let i = n - 1; i > 0; i--) {
    if (i >>> 2 !== have) philox(epoch, run, (have = i >>> 2), lane(ORDER_STREAM, 0, 0), 0, 0, words);
    const j = mulhi(words[i & 3]!, i + 1);
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}
