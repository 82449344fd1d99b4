/**
 * The kernels in AssemblyScript with 128-bit SIMD. `../../reference` is the definition; docs/NUMBERS.md the text. All
 * memory is ours: fixed scratch at the bottom, arrays placed above it by `../wasm.ts`.
 *
 * Noise comes 512 elements at a time (a *group*: four Philox blocks of 128 signs, one to a lane). A tensor's last,
 * partial group is computed in scratch and copied out, so no kernel writes past the end of an array.
 */

const GROUP: usize = 512;
const GROUP_BYTES: usize = GROUP * 4;

/** Directions of a call: entries of eight u32 {round, run, sample, slot, component, c, 0, 0}, written by `../wasm.ts`. */
export const TABLE: usize = 1024;
export const TABLE_ENTRIES: usize = 32;
const ENTRY: usize = 32;

/** Random words of a group for up to four directions: 4 blocks x 4 words each. */
const WORDS: usize = TABLE + TABLE_ENTRIES * ENTRY;
const WORDS_BYTES: usize = 64;
const SECOND: usize = WORDS + WORDS_BYTES;
const THIRD: usize = SECOND + WORDS_BYTES;
const FOURTH: usize = THIRD + WORDS_BYTES;

/** Partial groups. */
const TAIL_Q: usize = FOURTH + WORDS_BYTES;
const TAIL_PLUS: usize = TAIL_Q + GROUP_BYTES;
const TAIL_MINUS: usize = TAIL_PLUS + GROUP_BYTES;

/**
 * Low-rank panels: components two by two, each pair one i32 of two i16 digits for every row (A) or column (V). Strides
 * are a cache line more than a multiple of 2 KiB, or all pairs of an element would fall into the same cache set.
 */
const PAIRS: usize = TABLE_ENTRIES / 2;
const A_STRIDE: usize = GROUP_BYTES + 64;
const A_LOW: usize = TAIL_MINUS + GROUP_BYTES;
const A_HIGH: usize = A_LOW + PAIRS * A_STRIDE;
/** Columns of a pass. Nearly all matrices fit: whole rows per pass stream best. */
const MAX_COLUMNS: usize = 16384;
const V: usize = A_HIGH + PAIRS * A_STRIDE;
/** Stands for the rows that fill the last four up. */
const SPARE_ROW: usize = V + PAIRS * (MAX_COLUMNS * 4 + 64);
export const SCRATCH_END: usize = SPARE_ROW + MAX_COLUMNS * 4;

const DENSE: u32 = 0 << 28;
const U: u32 = 1 << 28;
const V_STREAM: u32 = 2 << 28;
const BINOMIAL: u32 = 3 << 28;

// ------------------------------------------------------------------------------------------------------------ noise

// @ts-ignore: decorator
@inline
function multiplyHigh(even: v128, odd: v128): v128 {
  return v128.shuffle<i32>(even, odd, 1, 3, 5, 7);
}

// @ts-ignore: decorator
@inline
function multiplyLow(even: v128, odd: v128): v128 {
  return v128.shuffle<i32>(even, odd, 0, 2, 4, 6);
}

/** Four blocks of the direction at `entry`: word w of lane b goes to out + 16 w + 4 b. */
function philox(entry: usize, lane: u32, blocks: v128, out: usize): void {
  let k0 = load<u32>(entry);
  let k1 = load<u32>(entry, 4);
  let c0 = blocks;
  let c1 = i32x4.splat(lane | (load<u32>(entry, 16) << 20));
  let c2 = i32x4.splat(load<u32>(entry, 8));
  let c3 = i32x4.splat(load<u32>(entry, 12));
  const m0 = i32x4.splat(0xd2511f53);
  const m1 = i32x4.splat(0xcd9e8d57);
  for (let round = 0; round < 10; round++) {
    const a = i64x2.extmul_low_i32x4_u(c0, m0);
    const b = i64x2.extmul_high_i32x4_u(c0, m0);
    const c = i64x2.extmul_low_i32x4_u(c2, m1);
    const d = i64x2.extmul_high_i32x4_u(c2, m1);
    c0 = v128.xor(v128.xor(multiplyHigh(c, d), c1), i32x4.splat(k0));
    c1 = multiplyLow(c, d);
    c2 = v128.xor(v128.xor(multiplyHigh(a, b), c3), i32x4.splat(k1));
    c3 = multiplyLow(a, b);
    k0 += 0x9e3779b9;
    k1 += 0xbb67ae85;
  }
  v128.store(out, c0);
  v128.store(out, c1, 16);
  v128.store(out, c2, 32);
  v128.store(out, c3, 48);
}

/** As `philox` for the four blocks from `first` on, transposed: the four words of block b go to out + 16 b. */
function words(entry: usize, lane: u32, first: u32, out: usize): void {
  philox(entry, lane, i32x4.add(i32x4.splat(first), i32x4(0, 1, 2, 3)), out);
  const x0 = v128.load(out);
  const x1 = v128.load(out, 16);
  const x2 = v128.load(out, 32);
  const x3 = v128.load(out, 48);
  const y0 = v128.shuffle<i32>(x0, x1, 0, 4, 1, 5);
  const y1 = v128.shuffle<i32>(x0, x1, 2, 6, 3, 7);
  const y2 = v128.shuffle<i32>(x2, x3, 0, 4, 1, 5);
  const y3 = v128.shuffle<i32>(x2, x3, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<i64>(y0, y2, 0, 2));
  v128.store(out, v128.shuffle<i64>(y0, y2, 1, 3), 16);
  v128.store(out, v128.shuffle<i64>(y1, y3, 0, 2), 32);
  v128.store(out, v128.shuffle<i64>(y1, y3, 1, 3), 48);
}

/** The noise of four binomial elements: set bits of 16, less 8. `half` 0 takes the low halves of the words. */
// @ts-ignore: decorator
@inline
function binomialLow(bits: v128): v128 {
  return i32x4.sub(v128.and(bits, i32x4.splat(0xffff)), i32x4.splat(8));
}

// @ts-ignore: decorator
@inline
function binomialHigh(bits: v128): v128 {
  return i32x4.sub(i32x4.shr_u(bits, 16), i32x4.splat(8));
}

/** Set bits of each half of four words. */
// @ts-ignore: decorator
@inline
function halfCounts(address: usize): v128 {
  return i16x8.extadd_pairwise_i8x16_u(i8x16.popcnt(v128.load(address)));
}

// ----------------------------------------------------------------------------------------------------------- floats

// @ts-ignore: decorator
@inline
function weights(q: usize, scale: f32): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(v128.load(q)), f32x4.splat(scale));
}

/** out = fround(q) * scale. */
export function materialise(q: usize, n: usize, scale: f32, out: usize): void {
  const end = q + n * 4;
  const whole = q + (n & ~3) * 4;
  for (; q < whole; q += 16, out += 16) v128.store(out, weights(q, scale));
  for (; q < end; q += 4, out += 4) store<f32>(out, f32(load<i32>(q)) * scale);
}

// @ts-ignore: decorator
@inline
function storePair(q: usize, scale: f32, d: v128, plus: usize, minus: usize): void {
  const w = weights(q, scale);
  v128.store(plus, f32x4.add(w, d));
  v128.store(minus, f32x4.sub(w, d));
}

function pairSigns(q: usize, scale: f32, delta: f32, id: u32, group: u32, plus: usize, minus: usize): void {
  words(TABLE, DENSE | id, group * 4, WORDS);
  const d = f32x4.splat(delta);
  const signBit = i32x4.splat(0x80000000);
  for (let b: usize = 0; b < 64; b += 16) {
    let r = v128.load(WORDS + b);
    for (let t = 0; t < 32; t++) {
      storePair(q, scale, v128.xor(d, v128.and(r, signBit)), plus, minus);
      r = i32x4.shl(r, 1);
      q += 16;
      plus += 16;
      minus += 16;
    }
  }
}

function pairBinomial(q: usize, scale: f32, delta: f32, id: u32, group: u32, plus: usize, minus: usize): void {
  const d = f32x4.splat(delta);
  for (let first: u32 = group * 64, end = first + 64; first < end; first += 4) {
    words(TABLE, BINOMIAL | id, first, WORDS);
    for (let b: usize = 0; b < 64; b += 16) {
      const counts = halfCounts(WORDS + b);
      storePair(q, scale, f32x4.mul(d, f32x4.convert_i32x4_s(binomialLow(counts))), plus, minus);
      storePair(q + 16, scale, f32x4.mul(d, f32x4.convert_i32x4_s(binomialHigh(counts))), plus + 16, minus + 16);
      q += 32;
      plus += 32;
      minus += 32;
    }
  }
}

/** plus, minus = fround(q) * scale ± delta * z, z dense noise of entry 0. */
export function pairDense(q: usize, n: usize, scale: f32, delta: f32, binomial: bool, id: u32, plus: usize, minus: usize): void {
  let group: u32 = 0;
  for (; n >= GROUP; n -= GROUP) {
    if (binomial) pairBinomial(q, scale, delta, id, group, plus, minus);
    else pairSigns(q, scale, delta, id, group, plus, minus);
    group++;
    q += GROUP_BYTES;
    plus += GROUP_BYTES;
    minus += GROUP_BYTES;
  }
  if (n == 0) return;
  memory.copy(TAIL_Q, q, n * 4);
  if (binomial) pairBinomial(TAIL_Q, scale, delta, id, group, TAIL_PLUS, TAIL_MINUS);
  else pairSigns(TAIL_Q, scale, delta, id, group, TAIL_PLUS, TAIL_MINUS);
  memory.copy(plus, TAIL_PLUS, n * 4);
  memory.copy(minus, TAIL_MINUS, n * 4);
}

/** As `pairDense`, z the i32 that stand in `plus`. */
export function pairGiven(q: usize, n: usize, scale: f32, delta: f32, plus: usize, minus: usize): void {
  const end = q + n * 4;
  const whole = q + (n & ~3) * 4;
  const d = f32x4.splat(delta);
  for (; q < whole; q += 16, plus += 16, minus += 16)
    storePair(q, scale, f32x4.mul(d, f32x4.convert_i32x4_s(v128.load(plus))), plus, minus);
  for (; q < end; q += 4, plus += 4, minus += 4) {
    const w = f32(load<i32>(q)) * scale;
    const step = delta * f32(load<i32>(plus));
    store<f32>(plus, w + step);
    store<f32>(minus, w - step);
  }
}

/** out = ±value, the signs those of entry 0 in `lane`. */
export function factor(lane: u32, value: f32, n: usize, out: usize): void {
  const v = f32x4.splat(value);
  const signBit = i32x4.splat(0x80000000);
  for (let group: u32 = 0; n > 0; group++) {
    words(TABLE, lane, group * 4, WORDS);
    let p = n < GROUP ? TAIL_PLUS : out;
    for (let b: usize = 0; b < 64; b += 16) {
      let r = v128.load(WORDS + b);
      for (let t = 0; t < 32; t++) {
        v128.store(p, v128.xor(v, v128.and(r, signBit)));
        r = i32x4.shl(r, 1);
        p += 16;
      }
    }
    if (n < GROUP) {
      memory.copy(out, TAIL_PLUS, n * 4);
      return;
    }
    out += GROUP_BYTES;
    n -= GROUP;
  }
}

// @ts-ignore: decorator
@inline
function signAt(e: u32, lane: u32): u32 {
  return (load<u32>(WORDS + ((e & 3) << 4) + (lane << 2)) << ((e & 127) >> 2)) & 0x80000000;
}

/** As `factor` at n given elements, a lane for each. */
export function factorAt(lane: u32, value: f32, index: usize, n: usize, out: usize): void {
  const bits = reinterpret<u32>(value);
  for (; n > 0; index += 16, out += 16) {
    const count = n < 4 ? n : 4;
    memory.copy(TAIL_Q, index, count * 4);
    philox(TABLE, lane, i32x4.shr_u(v128.load(TAIL_Q), 7), WORDS);
    for (let i: u32 = 0; i < u32(count); i++) store<u32>(out + (i << 2), bits ^ signAt(load<u32>(TAIL_Q + (i << 2)), i));
    n -= count;
  }
}

// ------------------------------------------------------------------------------------------------------------ apply

// @ts-ignore: decorator
@inline
function c(entry: usize): i32 {
  return load<i32>(entry, 20);
}

/** c z is c where a sign bit is clear and c - 2c where it is set. */
// @ts-ignore: decorator
@inline
function taken(r: v128, twice: v128): v128 {
  return v128.and(i32x4.shr_s(r, 31), twice);
}

function applySign(q: usize, entry: usize, id: u32, group: u32): void {
  words(entry, DENSE | id, group * 4, WORDS);
  const sum = i32x4.splat(c(entry));
  const twice = i32x4.splat(c(entry) << 1);
  for (let b: usize = 0; b < 64; b += 16) {
    let r = v128.load(WORDS + b);
    for (let t = 0; t < 32; t++) {
      v128.store(q, i32x4.add(v128.load(q), i32x4.sub(sum, taken(r, twice))));
      r = i32x4.shl(r, 1);
      q += 16;
    }
  }
}

function applyFourSigns(q: usize, entry: usize, id: u32, group: u32): void {
  const e1 = entry + ENTRY;
  const e2 = e1 + ENTRY;
  const e3 = e2 + ENTRY;
  words(entry, DENSE | id, group * 4, WORDS);
  words(e1, DENSE | id, group * 4, SECOND);
  words(e2, DENSE | id, group * 4, THIRD);
  words(e3, DENSE | id, group * 4, FOURTH);
  const sum = i32x4.splat(c(entry) + c(e1) + c(e2) + c(e3));
  const d0 = i32x4.splat(c(entry) << 1);
  const d1 = i32x4.splat(c(e1) << 1);
  const d2 = i32x4.splat(c(e2) << 1);
  const d3 = i32x4.splat(c(e3) << 1);
  for (let b: usize = 0; b < 64; b += 16) {
    let r0 = v128.load(WORDS + b);
    let r1 = v128.load(SECOND + b);
    let r2 = v128.load(THIRD + b);
    let r3 = v128.load(FOURTH + b);
    for (let t = 0; t < 32; t++) {
      const minus = i32x4.add(i32x4.add(taken(r0, d0), taken(r1, d1)), i32x4.add(taken(r2, d2), taken(r3, d3)));
      v128.store(q, i32x4.add(v128.load(q), i32x4.sub(sum, minus)));
      r0 = i32x4.shl(r0, 1);
      r1 = i32x4.shl(r1, 1);
      r2 = i32x4.shl(r2, 1);
      r3 = i32x4.shl(r3, 1);
      q += 16;
    }
  }
}

function applyBinomial(q: usize, entry: usize, id: u32, group: u32): void {
  const factor = i32x4.splat(c(entry));
  for (let first: u32 = group * 64, end = first + 64; first < end; first += 4) {
    words(entry, BINOMIAL | id, first, WORDS);
    for (let b: usize = 0; b < 64; b += 16) {
      const counts = halfCounts(WORDS + b);
      v128.store(q, i32x4.add(v128.load(q), i32x4.mul(factor, binomialLow(counts))));
      v128.store(q, i32x4.add(v128.load(q, 16), i32x4.mul(factor, binomialHigh(counts))), 16);
      q += 32;
    }
  }
}

/** One group, all directions of the table, while it stands in the first-level cache. */
function applyGroup(q: usize, count: usize, binomial: bool, id: u32, group: u32): void {
  const end = TABLE + count * ENTRY;
  let entry = TABLE;
  if (binomial) {
    for (; entry < end; entry += ENTRY) applyBinomial(q, entry, id, group);
    return;
  }
  for (; entry + 4 * ENTRY <= end; entry += 4 * ENTRY) applyFourSigns(q, entry, id, group);
  for (; entry < end; entry += ENTRY) applySign(q, entry, id, group);
}

/** q += Σ c z over the first `count` entries, z dense. */
export function applyDense(q: usize, n: usize, count: usize, binomial: bool, id: u32): void {
  let group: u32 = 0;
  for (; n >= GROUP; n -= GROUP) {
    applyGroup(q, count, binomial, id, group);
    group++;
    q += GROUP_BYTES;
  }
  if (n == 0) return;
  memory.copy(TAIL_Q, q, n * 4);
  applyGroup(TAIL_Q, count, binomial, id, group);
  memory.copy(q, TAIL_Q, n * 4);
}

// --------------------------------------------------------------------------------------------------------- low rank

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

/** What the low digits leave, over 2^16: x = high · 2^16 + low with low in -2^15 … 2^15 - 1. */
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

/** Four rows by eight columns: q += Σ over pairs of A V. Digits times ±1 cannot overflow; sums wrap as they should. */
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
  for (; j < whole; j += 32) tile(q0 + j, q1 + j, q2 + j, q3 + j, a, V + j, stride, pairs, wide);
  const rest = columns * 4 - j;
  if (rest == 0) return;
  memory.copy(TAIL_Q, q0 + j, rest);
  memory.copy(TAIL_Q + 32, q1 + j, rest);
  memory.copy(TAIL_Q + 64, q2 + j, rest);
  memory.copy(TAIL_Q + 96, q3 + j, rest);
  tile(TAIL_Q, TAIL_Q + 32, TAIL_Q + 64, TAIL_Q + 96, a, V + j, stride, pairs, wide);
  memory.copy(q0 + j, TAIL_Q, rest);
  memory.copy(q1 + j, TAIL_Q + 32, rest);
  memory.copy(q2 + j, TAIL_Q + 64, rest);
  memory.copy(q3 + j, TAIL_Q + 96, rest);
}

/**
 * q (rows, columns) += Σ over components of c u vᵀ: U diag(c) Vᵀ over `2 pairs` components of the table, exact modulo
 * 2^32. `wide`: some |c| needs its second digit.
 */
export function applyLowRank(q: usize, rows: usize, columns: usize, pairs: usize, wide: bool, id: u32): void {
  const pitch = columns * 4;
  for (let first: usize = 0; first < columns; first += MAX_COLUMNS) {
    const width = min(columns - first, MAX_COLUMNS);
    const groups = (width + GROUP - 1) / GROUP;
    const stride = groups * GROUP_BYTES + 64;
    for (let p: usize = 0; p < pairs; p++)
      for (let g: usize = 0; g < groups; g++)
        pack(TABLE + p * 2 * ENTRY, V_STREAM | id, u32(first / GROUP + g), 1, 1, V + p * stride + g * GROUP_BYTES, 0);

    for (let i: usize = 0; i < rows; i++) {
      const inGroup = i & (GROUP - 1);
      if (inGroup == 0)
        for (let p: usize = 0; p < pairs; p++) {
          const entry = TABLE + p * 2 * ENTRY;
          const at = A_LOW + p * A_STRIDE;
          pack(entry, U | id, u32(i / GROUP), c(entry), c(entry + ENTRY), at, wide ? at + (A_HIGH - A_LOW) : 0);
        }
      const q0 = q + i * pitch + first * 4;
      const left = rows - i;
      const q1 = left > 1 ? q0 + pitch : SPARE_ROW;
      const q2 = left > 2 ? q0 + 2 * pitch : SPARE_ROW;
      const q3 = left > 3 ? q0 + 3 * pitch : SPARE_ROW;
      rows4(q0, q1, q2, q3, width, A_LOW + inGroup * 4, stride, pairs, wide);
      i += 3;
    }
  }
}

// --------------------------------------------------------------------------------------------------------- checksum

/** Results of `checksum`: low, high, peak (u32), at TABLE. */
export function checksum(q: usize, n: usize, key: u32, offset: u32): void {
  let weyl = i32x4.add(
    i32x4.mul(i32x4.add(i32x4.splat(offset), i32x4(0, 1, 2, 3)), i32x4.splat(0x9e3779b1)),
    i32x4.splat(key),
  );
  const step = i32x4.splat(4 * 0x9e3779b1);
  const one = i32x4.splat(1);
  let low = i32x4.splat(0);
  let high = low;
  let peak = low;
  for (; n > 0; q += 16) {
    let x: v128;
    if (n >= 4) {
      x = v128.load(q);
      n -= 4;
    } else {
      v128.store(TAIL_Q, i32x4.splat(0)); // zeros add nothing
      memory.copy(TAIL_Q, q, n * 4);
      x = v128.load(TAIL_Q);
      n = 0;
    }
    let m = i32x4.mul(v128.xor(weyl, i32x4.shr_u(weyl, 16)), i32x4.splat(0x85ebca6b));
    m = v128.xor(m, i32x4.shr_u(m, 13));
    low = i32x4.add(low, i32x4.mul(x, v128.or(m, one)));
    m = i32x4.mul(m, i32x4.splat(0xc2b2ae35));
    m = v128.xor(m, i32x4.shr_u(m, 16));
    high = i32x4.add(high, i32x4.mul(x, v128.or(m, one)));
    peak = i32x4.max_u(peak, i32x4.abs(x));
    weyl = i32x4.add(weyl, step);
  }
  low = i32x4.add(low, v128.shuffle<i32>(low, low, 2, 3, 0, 1));
  high = i32x4.add(high, v128.shuffle<i32>(high, high, 2, 3, 0, 1));
  peak = i32x4.max_u(peak, v128.shuffle<i32>(peak, peak, 2, 3, 0, 1));
  store<i32>(TABLE, i32x4.extract_lane(low, 0) + i32x4.extract_lane(low, 1));
  store<i32>(TABLE, i32x4.extract_lane(high, 0) + i32x4.extract_lane(high, 1), 4);
  store<u32>(TABLE, max(u32(i32x4.extract_lane(peak, 0)), u32(i32x4.extract_lane(peak, 1))), 8);
}
