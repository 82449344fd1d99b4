/**
 * Where adapters start from (docs/NUMBERS.md 10): stream 8 under the key (0, seed), so that runs of one seed start alike
 * whatever else they differ in.
 *
 * @module
 */
import { SHARED_SLOT } from '../nouns.ts';
import { ADAPTER_STREAM, block } from './noise.ts';
import { root16 } from './root.ts';

/** Words `first` … of the stream of a tensor. */
function* wordsOf(seed: number, id: number, first: number, count: number): Iterable<number> {
  const words = new Uint32Array(4);
  const key = { round: 0, run: seed, sample: 0, slot: SHARED_SLOT };
  for (let i = first; i < first + count; i++) {
    if (i === first || i % 4 === 0) block(key, ADAPTER_STREAM, 0, id, Math.floor(i / 4), words);
    yield words[i % 4]!;
  }
}

/** Elements `first` … of a tensor whose weights are uniform within ±1/√width. @param width inputs of the matrix. */
export function uniformWeights(seed: number, id: number, width: number, first: number, count: number): Float32Array {
  const root = root16(width);
  const out = new Float32Array(count);
  let i = 0;
  for (const word of wordsOf(seed, id, first, count)) out[i++] = (2 * word + 1 - 2 ** 32) / 2 ** 32 / root;
  return out;
}

/** Random tokens of a vocabulary, for what starts from real ones. */
export const firstTokens = (seed: number, vocabulary: number, count: number): Int32Array =>
  Int32Array.from(wordsOf(seed, 0, 0, count), (word) => Number((BigInt(word) * BigInt(vocabulary)) >> 32n));
