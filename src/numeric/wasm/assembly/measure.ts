/** Weights as floats, and perturbed by a direction (docs/NUMBERS.md 1 and 3). */
import { GROUP, GROUP_BYTES, TABLE, TAIL_MINUS, TAIL_PLUS, TAIL_Q, WORDS } from './memory';
import { BINOMIAL, binomialHigh, binomialLow, DENSE, halfCounts, words } from './noise';

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
