/** q += U diag(c) Vᵀ for low-rank directions (docs/NUMBERS.md 6), exact modulo 2^32, by products of 16-bit digits. */
import { c } from './dense';
import { ENTRY, GROUP, GROUP_BYTES, PANELS, SECOND, TABLE, TABLE_ENTRIES, TAIL_Q, WORDS } from './memory';
import { U, V, words } from './noise';

/**
 * Low-rank panels: components two by two, each pair one i32 of two i16 digits for every row (A) or column (COLUMNS). Strides
 * are a cache line more than a multiple of 2 KiB, or all pairs of an element would fall into the same cache set.
 */
const PAIRS: usize = TABLE_ENTRIES / 2;
const A_STRIDE: usize = GROUP_BYTES + 64;
const A_LOW: usize = PANELS;
const A_HIGH: usize = A_LOW + PAIRS * A_STRIDE;
/** Columns of a pass. Nearly all matrices fit: whole rows per pass stream best. */
const MAX_COLUMNS: usize = 16384;
const COLUMNS: usize = A_HIGH + PAIRS * A_STRIDE;
/** Stands for the rows that fill the last four up. */
const SPARE_ROW: usize = COLUMNS + PAIRS * (MAX_COLUMNS * 4 + 64);
export const SCRATCH_END: usize = SPARE_ROW + MAX_COLUMNS * 4;

// @ts-ignore: decorator
@inline
function signed(r: v128, value: v128): v128 {
  const m = i32x4.shr_s(r, 31);
  return i32x4.sub(v128.xor(value, m), m);
}

/** Two i16 digits a lane: the low halves of x in the low half, those of y in the high half. */
// @ts-ignore: decorator
@inline
function lowDigits(x: v128, y: v128): v128 {
  return v128.or(v128.and(x, i32x4.splat(0xffff)), i32x4.shl(y, 16));
}

/** What the low digits leave: x = high · 2^16 + low with low in -2^15 … 2^15 - 1, so |high| <= 2^14 for |x| <= 2^30. */
// @ts-ignore: decorator
@inline
function highDigits(x: v128, y: v128): v128 {
  const half = i32x4.splat(0x8000);
  return v128.or(i32x4.shr_u(i32x4.add(x, half), 16), v128.andnot(i32x4.add(y, half), i32x4.splat(0xffff)));
}

/** Digits of ±c0 and ±c1 for the 512 elements of a group, signs from the components at `entry` and the next. */
function pack(entry: usize, lane: u32, group: u32, c0: i32, c1: i32, low: usize, high: usize): void {
  words(entry, lane, group * 4, WORDS);
  words(entry + ENTRY, lane, group * 4, SECOND);
  const v0 = i32x4.splat(c0);
  const v1 = i32x4.splat(c1);
  for (let b: usize = 0; b < 64; b += 16) {
    let r0 = v128.load(WORDS + b);
    let r1 = v128.load(SECOND + b);
    for (let t = 0; t < 32; t++) {
      const x = signed(r0, v0);
      const y = signed(r1, v1);
      v128.store(low, lowDigits(x, y));
      low += 16;
      if (high) {
        v128.store(high, highDigits(x, y));
        high += 16;
      }
      r0 = i32x4.shl(r0, 1);
      r1 = i32x4.shl(r1, 1);
    }
  }
}

/** Four rows by eight columns: q += Σ over pairs of a v. Digits times ±1 cannot overflow; sums wrap as they should. */
// @ts-ignore: decorator
@inline
function tile(q0: usize, q1: usize, q2: usize, q3: usize, a: usize, v: usize, stride: usize, pairs: usize, wide: bool): void {
  let x0 = i32x4.splat(0);
  let y0 = x0;
  let x1 = x0;
  let y1 = x0;
  let x2 = x0;
  let y2 = x0;
  let x3 = x0;
  let y3 = x0;
  for (let pass = wide ? 0 : 1; pass < 2; pass++) {
    let pa = pass ? a : a + (A_HIGH - A_LOW);
    let pv = v;
    for (let p: usize = 0; p < pairs; p++) {
      const vx = v128.load(pv);
      const vy = v128.load(pv, 16);
      const a0 = v128.load32_splat(pa);
      x0 = i32x4.add(x0, i32x4.dot_i16x8_s(a0, vx));
      y0 = i32x4.add(y0, i32x4.dot_i16x8_s(a0, vy));
      const a1 = v128.load32_splat(pa, 4);
      x1 = i32x4.add(x1, i32x4.dot_i16x8_s(a1, vx));
      y1 = i32x4.add(y1, i32x4.dot_i16x8_s(a1, vy));
      const a2 = v128.load32_splat(pa, 8);
      x2 = i32x4.add(x2, i32x4.dot_i16x8_s(a2, vx));
      y2 = i32x4.add(y2, i32x4.dot_i16x8_s(a2, vy));
      const a3 = v128.load32_splat(pa, 12);
      x3 = i32x4.add(x3, i32x4.dot_i16x8_s(a3, vx));
      y3 = i32x4.add(y3, i32x4.dot_i16x8_s(a3, vy));
      pa += A_STRIDE;
      pv += stride;
    }
    if (pass == 0) {
      x0 = i32x4.shl(x0, 16);
      y0 = i32x4.shl(y0, 16);
      x1 = i32x4.shl(x1, 16);
      y1 = i32x4.shl(y1, 16);
      x2 = i32x4.shl(x2, 16);
      y2 = i32x4.shl(y2, 16);
      x3 = i32x4.shl(x3, 16);
      y3 = i32x4.shl(y3, 16);
    }
  }
  v128.store(q0, i32x4.add(v128.load(q0), x0));
  v128.store(q0, i32x4.add(v128.load(q0, 16), y0), 16);
  v128.store(q1, i32x4.add(v128.load(q1), x1));
  v128.store(q1, i32x4.add(v128.load(q1, 16), y1), 16);
  v128.store(q2, i32x4.add(v128.load(q2), x2));
  v128.store(q2, i32x4.add(v128.load(q2, 16), y2), 16);
  v128.store(q3, i32x4.add(v128.load(q3), x3));
  v128.store(q3, i32x4.add(v128.load(q3, 16), y3), 16);
}

/** Four rows of a pass. Columns beyond the last eight go through scratch. */
function rows4(q0: usize, q1: usize, q2: usize, q3: usize, columns: usize, a: usize, stride: usize, pairs: usize, wide: bool): void {
  const whole = (columns & ~7) * 4;
  let j: usize = 0;
  for (; j < whole; j += 32) tile(q0 + j, q1 + j, q2 + j, q3 + j, a, COLUMNS + j, stride, pairs, wide);
  const rest = columns * 4 - j;
  if (rest == 0) return;
  memory.copy(TAIL_Q, q0 + j, rest);
  memory.copy(TAIL_Q + 32, q1 + j, rest);
  memory.copy(TAIL_Q + 64, q2 + j, rest);
  memory.copy(TAIL_Q + 96, q3 + j, rest);
  tile(TAIL_Q, TAIL_Q + 32, TAIL_Q + 64, TAIL_Q + 96, a, COLUMNS + j, stride, pairs, wide);
  memory.copy(q0 + j, TAIL_Q, rest);
  memory.copy(q1 + j, TAIL_Q + 32, rest);
  memory.copy(q2 + j, TAIL_Q + 64, rest);
  memory.copy(q3 + j, TAIL_Q + 96, rest);
}

/**
 * q (rows, columns), from row `top` of the matrix on, += Σ over components of c u vᵀ: U diag(c) Vᵀ over `2 pairs`
 * components of the table, exact modulo 2^32. `wide`: some |c| needs its second digit.
 */
export function applyLowRank(q: usize, top: usize, rows: usize, columns: usize, pairs: usize, wide: bool, id: u32): void {
  const pitch = columns * 4;
  for (let first: usize = 0; first < columns; first += MAX_COLUMNS) {
    const width = min(columns - first, MAX_COLUMNS);
    const groups = (width + GROUP - 1) / GROUP;
    const stride = groups * GROUP_BYTES + 64;
    for (let p: usize = 0; p < pairs; p++)
      for (let g: usize = 0; g < groups; g++)
        pack(TABLE + p * 2 * ENTRY, V | id, u32(first / GROUP + g), 1, 1, COLUMNS + p * stride + g * GROUP_BYTES, 0);

    let packed: usize = usize.MAX_VALUE;
    for (let i = top, end = top + rows, count: usize = 0; i < end; i += count) {
      const inGroup = i & (GROUP - 1);
      count = min(end - i, 4 - (i & 3)); // four rows lie in one group
      if (packed != i / GROUP)
        for (let p: usize = 0; p < pairs; p++) {
          const entry = TABLE + p * 2 * ENTRY;
          const at = A_LOW + p * A_STRIDE;
          pack(entry, U | id, u32(i / GROUP), c(entry), c(entry + ENTRY), at, wide ? at + (A_HIGH - A_LOW) : 0);
        }
      packed = i / GROUP;
      const q0 = q + (i - top) * pitch + first * 4;
      const q1 = count > 1 ? q0 + pitch : SPARE_ROW;
      const q2 = count > 2 ? q0 + 2 * pitch : SPARE_ROW;
      const q3 = count > 3 ? q0 + 3 * pitch : SPARE_ROW;
      rows4(q0, q1, q2, q3, width, A_LOW + inGroup * 4, stride, pairs, wide);
    }
  }
}
