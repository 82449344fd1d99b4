/**
 * Weights as bytes with a scale a row, transposed (docs/NUMBERS.md 1). Rows are taken 64 at a time: so many bytes fill
 * a cache line of the result, and their integers stay in the second-level cache between the two looks at them.
 */
import { TAIL_MINUS, TAIL_PLUS, TAIL_Q } from './memory';

const STRIP: usize = 64;
const SIDE: usize = 16;
const LIMIT: f64 = 64;
/** 1.5 · 2^23 as f32, and its bits: a small number added to it stands rounded in the bits, ties to even. */
const WHOLE: f32 = 12582912;
const WHOLE_BITS: i32 = 0x4b400000;

/** 64 / peak of every row of a strip. */
const INVERSES: usize = TAIL_Q;
/** 16 x 16 bytes, and room to shuffle them. */
const TILE: usize = TAIL_PLUS;
const OTHER: usize = TAIL_MINUS;

/** max |q|; -2^31 counts as 2^31. */
function peakOf(q: usize, n: usize): u32 {
  const end = q + n * 4;
  const whole = q + (n & ~3) * 4;
  let most = i32x4.splat(0);
  for (; q < whole; q += 16) most = i32x4.max_u(most, i32x4.abs(v128.load(q)));
  let peak = max(
    max(<u32>i32x4.extract_lane(most, 0), <u32>i32x4.extract_lane(most, 1)),
    max(<u32>i32x4.extract_lane(most, 2), <u32>i32x4.extract_lane(most, 3)),
  );
  for (; q < end; q += 4) {
    const x = load<i32>(q);
    peak = max(peak, x < 0 ? 0 - <u32>x : <u32>x);
  }
  return peak;
}

@inline
function four(q: usize, inverse: v128): v128 {
  const x = f32x4.mul(f32x4.convert_i32x4_s(v128.load(q)), inverse);
  return i32x4.sub(f32x4.add(x, f32x4.splat(WHOLE)), i32x4.splat(WHOLE_BITS));
}

/** Bytes of 16 columns of a row. */
@inline
function sixteen(q: usize, inverse: v128): v128 {
  const low = i16x8.narrow_i32x4_s(four(q, inverse), four(q + 16, inverse));
  const high = i16x8.narrow_i32x4_s(four(q + 32, inverse), four(q + 48, inverse));
  return i8x16.narrow_i16x8_s(low, high);
}

/** Element e of 256 moves to 2e modulo 255: four times over, that is a transposition. */
@inline
function shuffled(from: usize, to: usize): void {
  for (let i: usize = 0; i < 128; i += 16) {
    const a = v128.load(from + i);
    const b = v128.load(from + i + 128);
    v128.store(to + 2 * i, i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
    v128.store(to + 2 * i + 16, i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
  }
}

/** 16 rows of 16 columns; `stride` is the length of a row of the result. */
function tile(q: usize, inverses: usize, columns: usize, stride: usize, out: usize): void {
  for (let r: usize = 0; r < SIDE; r++)
    v128.store(TILE + r * SIDE, sixteen(q + r * columns * 4, f32x4.splat(load<f32>(inverses + r * 4))));
  shuffled(TILE, OTHER);
  shuffled(OTHER, TILE);
  shuffled(TILE, OTHER);
  shuffled(OTHER, TILE);
  for (let j: usize = 0; j < SIDE; j++) v128.store(out + j * stride, v128.load(TILE + j * SIDE));
}

/** Some rows from column `from` on, one by one. */
function edge(q: usize, inverses: usize, rows: usize, from: usize, columns: usize, stride: usize, out: usize): void {
  for (let r: usize = 0; r < rows; r++) {
    const inverse = load<f32>(inverses + r * 4);
    for (let j = from; j < columns; j++)
      store<i8>(out + j * stride + r, <i8>nearest(<f32>load<i32>(q + (r * columns + j) * 4) * inverse));
  }
}

function strip(q: usize, rows: usize, columns: usize, stride: usize, out: usize): void {
  const tall = rows & ~(SIDE - 1);
  const wide = columns & ~(SIDE - 1);
  for (let j: usize = 0; j < wide; j += SIDE)
    for (let r: usize = 0; r < tall; r += SIDE)
      tile(q + (r * columns + j) * 4, INVERSES + r * 4, columns, stride, out + j * stride + r);
  edge(q, INVERSES, tall, wide, columns, stride, out);
  edge(q + tall * columns * 4, INVERSES + tall * 4, rows - tall, 0, columns, stride, out + tall);
}

/**
 * q (rows, columns) i32 -> out (columns, rows) i8 and scale (rows) f32. Each row's largest becomes ±64.
 * `step` is 2^exponent / 64.
 */
export function quantiseRows(q: usize, rows: usize, columns: usize, step: f32, out: usize, scale: usize): void {
  for (let first: usize = 0; first < rows; first += STRIP) {
    const count = min(STRIP, rows - first);
    const from = q + first * columns * 4;
    for (let r: usize = 0; r < count; r++) {
      const peak = peakOf(from + r * columns * 4, columns);
      store<f32>(INVERSES + r * 4, peak == 0 ? 0 : <f32>(LIMIT / <f64>peak));
      store<f32>(scale + (first + r) * 4, <f32>peak * step);
    }
    strip(from, count, columns, rows, out + first);
  }
}
