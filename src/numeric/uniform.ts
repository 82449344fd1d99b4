/**
 * Uniform numbers for sampling text: stream 15, so that they share nothing with a run's noise.
 *
 * @module
 */
import { block, TEST_STREAM } from './noise.ts';

/** `count` numbers in [0, 1), the same for the same seed. */
export function noiseUniforms(seed: number, count: number): number[] {
  const words = new Uint32Array(4);
  const key = { round: seed, run: 0, sample: 0, slot: 0 };
  return Array.from({ length: count }, (_, i) => {
    if (i % 4 === 0) block(key, TEST_STREAM, 0, 0, i >>> 2, words);
    return words[i % 4]! / 2 ** 32;
  });
}
