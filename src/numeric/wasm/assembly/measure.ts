/** Weights as floats, and perturbed by a direction (docs/NUMBERS.md 1 and 3). */
import { GROUP, GROUP_BYTES, TABLE, TAIL_MINUS, TAIL_PLUS, TAIL_Q, WORDS } from './memory';
import { BINOMIAL, binomialHigh, binomialLow, DENSE, halfCounts, words } from './noise';

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

function pairGroup(q: usize, scale: f32, delta: f32, binomial: bool, id: u32, group: u32, plus: usize, minus: usize): void {
  if (binomial) pairBinomial(q, scale, delta, id, group, plus, minus);
  else pairSigns(q, scale, delta, id, group, plus, minus);
}

/** Weights as they are where the bits of the mask are clear: a group of both sides. */
function pairStill(q: usize, scale: f32, mask: usize, plus: usize, minus: usize): void {
  for (const end = mask + 64; mask < end; mask += 16) {
    let r = v128.load(mask);
    for (let t = 0; t < 32; t++, q += 16, plus += 16, minus += 16) {
      const w = weights(q, scale);
      const moves = i32x4.shr_s(r, 31);
      v128.store(plus, v128.bitselect(v128.load(plus), w, moves));
      v128.store(minus, v128.bitselect(v128.load(minus), w, moves));
      r = i32x4.shl(r, 1);
    }
  }
}

/**
 * plus, minus = fround(q) * scale ± delta * z for n elements, z dense noise of entry 0 from element `first` on.
 * @param mask bits of the elements that move, from the group of `first` on; 0 if all do.
 */
export function pairDense(
  q: usize,
  first: usize,
  n: usize,
  scale: f32,
  delta: f32,
  binomial: bool,
  id: u32,
  mask: usize,
  plus: usize,
  minus: usize,
): void {
  let group = u32(first / GROUP);
  let skipped = first & (GROUP - 1);
  while (n > 0) {
    const count = min(n, GROUP - skipped);
    const bytes = count * 4;
    if (count == GROUP) {
      pairGroup(q, scale, delta, binomial, id, group, plus, minus);
      if (mask != 0) pairStill(q, scale, mask, plus, minus);
    } else {
      const at = skipped * 4;
      memory.copy(TAIL_Q + at, q, bytes);
      pairGroup(TAIL_Q, scale, delta, binomial, id, group, TAIL_PLUS, TAIL_MINUS);
      if (mask != 0) pairStill(TAIL_Q, scale, mask, TAIL_PLUS, TAIL_MINUS);
      memory.copy(plus, TAIL_PLUS + at, bytes);
      memory.copy(minus, TAIL_MINUS + at, bytes);
    }
    group++;
    if (mask != 0) mask += 64;
    skipped = 0;
    n -= count;
    q += bytes;
    plus += bytes;
    minus += bytes;
  }
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
