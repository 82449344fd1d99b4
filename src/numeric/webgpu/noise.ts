/**
 * WGSL that every kernel shares: Philox, signs, and fixed point to the bits of a float (docs/NUMBERS.md 1 and 2).
 * Integers only, since WGSL does not say how floats round.
 *
 * @module
 */

import { V_STREAM } from '../noise.ts';

/** Invocations of a workgroup, in all kernels. */
export const THREADS = 128;

/** One term of a sum of directions: where its noise is, and what it is multiplied with. 8 words, as `entriesOf` packs. */
export const ENTRY_WORDS = 8;

export const NOISE: string = /* wgsl */ `
struct Entry {
  round: u32,
  run: u32,
  sample: u32,
  slot: u32,
  place: u32, // component << 20 | tensor id
  c: i32,
  columns: u32, // round of the column factors
  none: u32,
}

// There is no 64-bit product: four of 16 bits.
fn mulhi(a: u32, b: u32) -> u32 {
  let al = a & 0xffffu;
  let ah = a >> 16u;
  let bl = b & 0xffffu;
  let bh = b >> 16u;
  let mid = ah * bl + ((al * bl) >> 16u);
  let low = al * bh + (mid & 0xffffu);
  return ah * bh + (mid >> 16u) + (low >> 16u);
}

fn philox(entry: Entry, stream: u32, number: u32) -> vec4<u32> {
  var c = vec4<u32>(number, (stream << 28u) | entry.place, entry.sample, entry.slot);
  var k = vec2<u32>(select(entry.round, entry.columns, stream == ${V_STREAM}u), entry.run);
  for (var i = 0u; i < 10u; i++) {
    c = vec4<u32>(
      mulhi(0xcd9e8d57u, c.z) ^ c.y ^ k.x,
      0xcd9e8d57u * c.z,
      mulhi(0xd2511f53u, c.x) ^ c.w ^ k.y,
      0xd2511f53u * c.x,
    );
    k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}

// 1 where element e of a block of 128 signs is -1.
fn minus(words: vec4<u32>, e: u32) -> u32 {
  return (words[e & 3u] >> (31u - (e >> 2u))) & 1u;
}

// The bits of fround(q) · 2^exponent: 24 bits of |q|, ties to even.
fn weight(q: i32, exponent: i32) -> u32 {
  if (q == 0) {
    return 0u;
  }
  let magnitude = select(bitcast<u32>(q), 0u - bitcast<u32>(q), q < 0);
  let top = firstLeadingBit(magnitude);
  let aligned = magnitude << (31u - top);
  let rest = aligned & 0xffu;
  let kept = aligned >> 8u;
  let up = select(0u, 1u, rest > 128u || (rest == 128u && (kept & 1u) == 1u));
  let biased = bitcast<u32>(bitcast<i32>(top) + exponent + 127);
  let bits = (biased << 23u) + (kept - 0x800000u) + up; // a carry into the exponent is right
  return (bitcast<u32>(q) & 0x80000000u) | min(bits, 0x7f800000u);
}
`;
