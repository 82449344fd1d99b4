/**
 * Weights of a model that no checkpoint holds yet: a function of (seed, tensor, element), by Philox.
 *
 * Matrices are uniform with the variance of the normal distribution that `initializer_range` names in Hugging Face
 * configurations, so in ±√3 · deviation: + - * / of doubles make the same everywhere, which no bell curve of logarithms
 * and cosines does. Gains of norms are 1, biases 0.
 *
 * @module
 */
import { size } from '../graph/shape.ts';
import { ADAPTER_STREAM, block } from '../numeric/noise.ts';
import type { TensorSpec } from './stage.ts';

/** Standard deviation of matrices: the default of Hugging Face configurations. */
export const DEVIATION = 0.02;
const HALF_WIDTH: number = DEVIATION * 1.7320508075688772;

const isBias = (name: string): boolean => name.endsWith('.bias');

/** Elements `first` … `first + count - 1` of a new tensor, row-major. @param seed u32 */
export function initialWeights(
  { name, shape, id }: TensorSpec,
  seed: number,
  first = 0,
  count: number = size(shape) - first,
): Float32Array {
  if (shape.length === 1) return new Float32Array(count).fill(isBias(name) ? 0 : 1);
  const key = { round: 0, run: seed, sample: 0, slot: 0 };
  const words = new Uint32Array(4);
  const out = new Float32Array(count);
  let have = -1;
  for (let i = 0; i < count; i++) {
    const at = first + i;
    if (at >>> 2 !== have) block(key, ADAPTER_STREAM, 0, id, (have = at >>> 2), words);
    out[i] = ((2 * (words[at & 3]! + 0.5)) / 2 ** 32 - 1) * HALF_WIDTH;
  }
  return out;
}
