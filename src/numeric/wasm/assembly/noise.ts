/** Philox4x32-10 on four blocks at once, and what its bits mean (docs/NUMBERS.md 2). */

import { ENTRY } from './memory';

/** Streams, in their place in the counter. */
export const DENSE: u32 = 0 << 28;
export const U: u32 = 1 << 28;
export const V: u32 = 2 << 28;
export const BINOMIAL: u32 = 3 << 28;
export const ROUNDING: u32 = 4 << 28;

@inline
function multiplyHigh(even: v128, odd: v128): v128 {
  return v128.shuffle<i32>(even, odd, 1, 3, 5, 7);
}

@inline
function multiplyLow(even: v128, odd: v128): v128 {
  return v128.shuffle<i32>(even, odd, 0, 2, 4, 6);
}

/** Four blocks, a lane each: word w of the block in lane b goes to out + 16 w + 4 b. */
function rounds(k0: v128, k1: v128, c0: v128, c1: v128, c2: v128, c3: v128, out: usize): void {
  const m0 = i32x4.splat(0xd2511f53);
  const m1 = i32x4.splat(0xcd9e8d57);
  const w0 = i32x4.splat(0x9e3779b9);
  const w1 = i32x4.splat(0xbb67ae85);
  for (let round = 0; round < 10; round++) {
    const a = i64x2.extmul_low_i32x4_u(c0, m0);
    const b = i64x2.extmul_high_i32x4_u(c0, m0);
    const c = i64x2.extmul_low_i32x4_u(c2, m1);
    const d = i64x2.extmul_high_i32x4_u(c2, m1);
    c0 = v128.xor(v128.xor(multiplyHigh(c, d), c1), k0);
    c1 = multiplyLow(c, d);
    c2 = v128.xor(v128.xor(multiplyHigh(a, b), c3), k1);
    c3 = multiplyLow(a, b);
    k0 = i32x4.add(k0, w0);
    k1 = i32x4.add(k1, w1);
  }
  v128.store(out, c0);
  v128.store(out, c1, 16);
  v128.store(out, c2, 32);
  v128.store(out, c3, 48);
}

/** Four rows of four u32, stored as columns. */
@inline
function transpose(x0: v128, x1: v128, x2: v128, x3: v128, out: usize): void {
  const y0 = v128.shuffle<i32>(x0, x1, 0, 4, 1, 5);
  const y1 = v128.shuffle<i32>(x0, x1, 2, 6, 3, 7);
  const y2 = v128.shuffle<i32>(x2, x3, 0, 4, 1, 5);
  const y3 = v128.shuffle<i32>(x2, x3, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<i64>(y0, y2, 0, 2));
  v128.store(out, v128.shuffle<i64>(y0, y2, 1, 3), 16);
  v128.store(out, v128.shuffle<i64>(y1, y3, 0, 2), 32);
  v128.store(out, v128.shuffle<i64>(y1, y3, 1, 3), 48);
}

@inline
function transposeAt(from: usize, out: usize): void {
  transpose(v128.load(from), v128.load(from, 16), v128.load(from, 32), v128.load(from, 48), out);
}

/** The columns of a direction may be of an earlier round: it stands last in an entry. */
@inline
function isColumns(lane: u32): bool {
  return lane >> 28 == V >> 28;
}

/** Four blocks of the direction at `entry`, their numbers read from `out` (four u32), as `rounds` places them. */
export function philox(entry: usize, lane: u32, out: usize): void {
  rounds(
    v128.load32_splat(entry + (isColumns(lane) ? 28 : 0)),
    v128.load32_splat(entry, 4),
    v128.load(out),
    i32x4.splat(lane | (load<u32>(entry, 16) << 20)),
    v128.load32_splat(entry, 8),
    v128.load32_splat(entry, 12),
    out,
  );
}

/** As `philox` for the four blocks from `first` on, transposed: the four words of block b go to out + 16 b. */
export function words(entry: usize, lane: u32, first: u32, out: usize): void {
  v128.store(out, i32x4.add(i32x4.splat(first), i32x4(0, 1, 2, 3)));
  philox(entry, lane, out);
  transposeAt(out, out);
}

/** Block `block` of four directions, those at `entry` and after, as `rounds` places them. */
export function philoxOfFour(entry: usize, lane: u32, block: u32, out: usize): void {
  transpose(v128.load(entry), v128.load(entry, ENTRY), v128.load(entry, 2 * ENTRY), v128.load(entry, 3 * ENTRY), out);
  let component = v128.load32_splat(entry, 16);
  component = v128.load32_lane(entry + ENTRY, component, 1, 16);
  component = v128.load32_lane(entry + 2 * ENTRY, component, 2, 16);
  component = v128.load32_lane(entry + 3 * ENTRY, component, 3, 16);
  let round = v128.load(out);
  if (isColumns(lane)) {
    round = v128.load32_splat(entry, 28);
    round = v128.load32_lane(entry + ENTRY, round, 1, 28);
    round = v128.load32_lane(entry + 2 * ENTRY, round, 2, 28);
    round = v128.load32_lane(entry + 3 * ENTRY, round, 3, 28);
  }
  rounds(
    round,
    v128.load(out, 16),
    i32x4.splat(block),
    v128.or(i32x4.shl(component, 20), i32x4.splat(lane)),
    v128.load(out, 32),
    v128.load(out, 48),
    out,
  );
}

/** As `philoxOfFour`, transposed: the four words of the direction at entry + e ENTRY go to out + 16 e. */
export function wordsOfFour(entry: usize, lane: u32, block: u32, out: usize): void {
  philoxOfFour(entry, lane, block, out);
  transposeAt(out, out);
}

/** Set bits of each half of four words. */
@inline
export function halfCounts(address: usize): v128 {
  return i16x8.extadd_pairwise_i8x16_u(i8x16.popcnt(v128.load(address)));
}

/** Elements 0 … 3 of a binomial block, from the counts of its low halves; 4 … 7 come from the high ones. */
@inline
export function binomialLow(bits: v128): v128 {
  return i32x4.sub(v128.and(bits, i32x4.splat(0xffff)), i32x4.splat(8));
}

@inline
export function binomialHigh(bits: v128): v128 {
  return i32x4.sub(i32x4.shr_u(bits, 16), i32x4.splat(8));
}
