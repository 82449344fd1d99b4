/** Random inputs of the kernels, shared by the tests of this folder. */
import fc from 'fast-check';
import type { DirectionKey, DirectionKind } from '../../src/nouns.ts';
import type { TensorNoise } from '../../src/numeric/kernels.ts';
import { elements, isLowRank, maskWords } from '../../src/numeric/noise.ts';

export const u32: fc.Arbitrary<number> = fc.nat(0xffff_ffff);
/** Lazy ones too: their column factors are of a round of their own. */
export const key: fc.Arbitrary<DirectionKey> = fc.record(
  { round: u32, run: u32, sample: u32, slot: u32, columns: u32 },
  { requiredKeys: ['round', 'run', 'sample', 'slot'] },
);
export const kind: fc.Arbitrary<DirectionKind> = fc.constantFrom('lowrank', 'rademacher', 'binomial');
export const rank: fc.Arbitrary<number> = fc.integer({ min: 1, max: 4 });
export const tensorId: fc.Arbitrary<number> = fc.nat(2 ** 20 - 1);

/** Up to a few thousand elements: vectors, matrices odd and even, and shapes that only look like matrices. */
export const shape: fc.Arbitrary<number[]> = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 3000 })),
  fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 700 })),
  fc.tuple(fc.integer({ min: 1, max: 700 }), fc.integer({ min: 1, max: 20 })),
  fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 })),
  fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })),
);
export const tensor: fc.Arbitrary<TensorNoise> = fc.record({ id: tensorId, shape });

/** |c| <= 2^30, the limits and the edges of 16-bit digits often. */
export const coefficient: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: -(2 ** 30), max: 2 ** 30 }),
  fc.integer({ min: -40000, max: 40000 }),
  fc.constantFrom(-(2 ** 30), 2 ** 30, -32769, -32768, -32767, 32767, 32768, 0, 2 ** 30 - 32768, 32768 - 2 ** 30),
);

/** A tensor as directions of a kind see it: for dense ones and every second seed, with a mask of random bits. */
export function masked(tensor: TensorNoise, kind: DirectionKind, seed: number): TensorNoise {
  if (isLowRank(kind, tensor) || seed % 2 === 0) return tensor;
  const bits = integers(maskWords(elements(tensor)), seed + 1);
  return { ...tensor, moved: new Uint32Array(bits.buffer) };
}

/** n int32 from a seed, over the whole range: cheaper than arbitrary arrays, and never all small. */
export function integers(n: number, seed: number): Int32Array {
  let x = seed | 1;
  return Int32Array.from({ length: n }, () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x;
  });
}
