/**
 * q += U diag(c) Vᵀ for low-rank directions (docs/NUMBERS.md 6) by the method of Four Russians: components are taken in
 * groups of k, the 2^k sums ±c_1 v_1 … ±c_k v_k of a group are made once, and a row then adds the one that the signs of
 * its u name. So a vector addition serves 4 k products, and c needs no digits: sums wrap as the definition's do.
 */
import { c } from './dense';
import { BLOCK, ENTRY, LOW_RANK, TABLE, TABLE_ENTRIES, TAIL_Q } from './memory';
import { U, V, wordsOfFour } from './noise';

/** Columns of a strip: what four vector registers hold. */
const STRIP: usize = 16;

/** Up to so many components the sums are of whole rows, which stream at the speed of memory; beyond, of one strip. */
const FEW: usize = 32;
/** k of either case: larger tables would take longer to make and to read (in the second-level cache) than they save. */
const FEW_BITS: usize = 4;
const MANY_BITS: usize = 6;

/** Columns, and rows, whose signs are kept at a time. */
const MAX_COLUMNS: usize = 4096;
const MAX_ROWS: usize = 2048;

/** Sign words of the columns: for each block of 128 columns 16 bytes a component. */
const BLOCK_BYTES: usize = TABLE_ENTRIES * 16;
const COLUMNS: usize = LOW_RANK;
/** Those of the rows, one block. */
const ROWS: usize = COLUMNS + (MAX_COLUMNS / BLOCK) * BLOCK_BYTES;
/** For each row the addresses of its sums, one a group. */
const ADDRESSES: usize = ROWS + BLOCK_BYTES;
const MAX_GROUPS: usize = TABLE_ENTRIES / MANY_BITS + 1;
/** The sums: 2^k for each group, one after the other; as wide as this allows, where they are of rows. */
const SUMS: usize = ADDRESSES + MAX_ROWS * MAX_GROUPS * 4;
const SUMS_BYTES: usize = 3 << 17;
export const SCRATCH_END: usize = SUMS + SUMS_BYTES;

/** Block `block` of all components. */
function signWords(lane: u32, block: u32, count: usize, out: usize): void {
  for (let e: usize = 0; e < count; e += 4) wordsOfFour(TABLE + e * ENTRY, lane, block, out + e * 16);
}

/** Addresses of the sums of one group for 128 rows: `sums` + `bytes` · the k sign bits of the row. */
function address(words: usize, k: usize, sums: usize, bytes: usize, out: usize, stride: usize): void {
  const base = i32x4.splat(u32(sums));
  const unit = i32x4.splat(u32(bytes));
  const top = i32x4.splat(0x80000000);
  for (let t: i32 = 0; t < 32; t++) {
    let bits = i32x4.splat(0);
    for (let b: usize = 0; b < k; b++)
      bits = v128.or(i32x4.shr_u(bits, 1), v128.and(i32x4.shl(v128.load(words + b * 16), t), top));
    const at = i32x4.add(base, i32x4.mul(i32x4.shr_u(bits, 32 - i32(k)), unit));
    v128.store32_lane(out, at, 0);
    v128.store32_lane(out + stride, at, 1);
    v128.store32_lane(out + 2 * stride, at, 2);
    v128.store32_lane(out + 3 * stride, at, 3);
    out += 4 * stride;
  }
}

/** ±x, minus where the top bit of r is set. */
@inline
function signed(r: v128, x: v128): v128 {
  const m = i32x4.shr_s(r, 31);
  return i32x4.sub(v128.xor(x, m), m);
}

/**
 * The 2^k sums of a group on one strip, `bytes` apart. Sum p has -c v for the components whose bit is set in p, so it
 * is the one without the highest of them less 2 c v.
 * @param words sign words of the block the strip lies in, `t` its place there.
 */
function makeSums(entry: usize, k: usize, words: usize, t: i32, sums: usize, bytes: usize): void {
  let x0 = i32x4.splat(0);
  let x1 = x0;
  let x2 = x0;
  let x3 = x0;
  for (let b: usize = 0; b < k; b++) {
    const r = i32x4.shl(v128.load(words + b * 16), t);
    const x = i32x4.splat(c(entry + b * ENTRY));
    x0 = i32x4.add(x0, signed(r, x));
    x1 = i32x4.add(x1, signed(i32x4.shl(r, 1), x));
    x2 = i32x4.add(x2, signed(i32x4.shl(r, 2), x));
    x3 = i32x4.add(x3, signed(i32x4.shl(r, 3), x));
  }
  v128.store(sums, x0);
  v128.store(sums, x1, 16);
  v128.store(sums, x2, 32);
  v128.store(sums, x3, 48);
  let made = bytes;
  for (let b: usize = 0; b < k; b++, made <<= 1) {
    const r = i32x4.shl(v128.load(words + b * 16), t);
    const twice = i32x4.splat(c(entry + b * ENTRY) << 1);
    const d0 = signed(r, twice);
    const d1 = signed(i32x4.shl(r, 1), twice);
    const d2 = signed(i32x4.shl(r, 2), twice);
    const d3 = signed(i32x4.shl(r, 3), twice);
    for (let p = sums, end = sums + made; p < end; p += bytes) {
      v128.store(p + made, i32x4.sub(v128.load(p), d0));
      v128.store(p + made, i32x4.sub(v128.load(p, 16), d1), 16);
      v128.store(p + made, i32x4.sub(v128.load(p, 32), d2), 32);
      v128.store(p + made, i32x4.sub(v128.load(p, 48), d3), 48);
    }
  }
}

/**
 * q += the sums at addresses p … end, on the strip `j` bytes into them. Two at a time: with more loads in flight V8 runs out
 * of registers.
 */
@inline
function addSums(q: usize, p: usize, end: usize, j: usize): void {
  let x0 = v128.load(q);
  let x1 = v128.load(q, 16);
  let x2 = v128.load(q, 32);
  let x3 = v128.load(q, 48);
  for (const pair = end - 8; p <= pair; p += 8) {
    const a = usize(load<u32>(p)) + j;
    const b = usize(load<u32>(p, 4)) + j;
    x0 = i32x4.add(i32x4.add(x0, v128.load(a)), v128.load(b));
    x1 = i32x4.add(i32x4.add(x1, v128.load(a, 16)), v128.load(b, 16));
    x2 = i32x4.add(i32x4.add(x2, v128.load(a, 32)), v128.load(b, 32));
    x3 = i32x4.add(i32x4.add(x3, v128.load(a, 48)), v128.load(b, 48));
  }
  if (p < end) {
    const a = usize(load<u32>(p)) + j;
    x0 = i32x4.add(x0, v128.load(a));
    x1 = i32x4.add(x1, v128.load(a, 16));
    x2 = i32x4.add(x2, v128.load(a, 32));
    x3 = i32x4.add(x3, v128.load(a, 48));
  }
  v128.store(q, x0);
  v128.store(q, x1, 16);
  v128.store(q, x2, 32);
  v128.store(q, x3, 48);
}

/** As `addSums` for fewer than 16 columns. */
function addSumsRagged(q: usize, p: usize, end: usize, j: usize, bytes: usize): void {
  memory.fill(TAIL_Q, 0, STRIP * 4);
  addSums(TAIL_Q, p, end, j);
  for (let b: usize = 0; b < bytes; b += 4) store<i32>(q + b, load<i32>(q + b) + load<i32>(TAIL_Q + b));
}

/** `rows` rows of `bytes` bytes at q, `pitch` apart, += their sums; `stride` bytes of addresses a row. */
function addRows(q: usize, rows: usize, bytes: usize, pitch: usize, addresses: usize, stride: usize): void {
  const whole = bytes & ~(STRIP * 4 - 1);
  for (let i: usize = 0; i < rows; i++) {
    const end = addresses + stride;
    if (bytes == STRIP * 4) addSums(q, addresses, end, 0);
    else {
      for (let j: usize = 0; j < whole; j += STRIP * 4) addSums(q + j, addresses, end, j);
      if (whole < bytes) addSumsRagged(q + whole, addresses, end, whole, bytes - whole);
    }
    q += pitch;
    addresses = end;
  }
}

/**
 * q (rows, columns), from row `top` of the matrix on, += Σ c u vᵀ over the first `count` entries, exact modulo 2^32.
 */
export function applyLowRank(q: usize, top: usize, rows: usize, columns: usize, count: usize, id: u32): void {
  const k = count <= FEW ? min(count, FEW_BITS) : MANY_BITS;
  const groups = (count + k - 1) / k;
  const stride = groups * 4;
  const most = count <= FEW ? min(MAX_COLUMNS, (SUMS_BYTES / ((groups << k) * 4)) & ~(STRIP - 1)) : STRIP;
  const pitch = columns * 4;
  const end = top + rows;
  for (let panel: usize = 0; panel < columns; panel += MAX_COLUMNS) {
    const last = min(columns, panel + MAX_COLUMNS);
    for (let j = panel, at = COLUMNS; j < last; j += BLOCK, at += BLOCK_BYTES) signWords(V | id, u32(j / BLOCK), count, at);

    for (let row = top, next: usize = 0; row < end; row = next) {
      const start = row & ~(BLOCK - 1);
      next = min(end, start + MAX_ROWS);
      const width = min(most, (last - panel + STRIP - 1) & ~(STRIP - 1));
      const bytes = width * 4;
      for (let i = start; i < next; i += BLOCK) {
        signWords(U | id, u32(i / BLOCK), count, ROWS);
        const out = ADDRESSES + (i - start) * stride;
        for (let g: usize = 0; g < groups; g++)
          address(ROWS + g * k * 16, min(k, count - g * k), SUMS + (g << k) * bytes, bytes, out + g * 4, stride);
      }
      for (let first = panel; first < last; first += width) {
        const size = min(width, last - first);
        for (let g: usize = 0; g < groups; g++)
          for (let j: usize = 0; j < size; j += STRIP) {
            const column = first - panel + j;
            const words = COLUMNS + (column / BLOCK) * BLOCK_BYTES + g * k * 16;
            const t = i32((column & (BLOCK - 1)) / 4);
            makeSums(TABLE + g * k * ENTRY, min(k, count - g * k), words, t, SUMS + (g << k) * bytes + j * 4, bytes);
          }
        const at = q + (row - top) * pitch + first * 4;
        addRows(at, next - row, size * 4, pitch, ADDRESSES + (row - start) * stride, stride);
      }
    }
  }
}
