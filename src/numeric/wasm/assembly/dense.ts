/** q += Σ c z for dense directions (docs/NUMBERS.md 6). */
import { BLOCK, ENTRY, GROUP, GROUP_BYTES, TABLE, TAIL_PLUS, TAIL_Q, WORDS } from './memory';
import { BINOMIAL, binomialHigh, binomialLow, DENSE, halfCounts, words, wordsOfFour } from './noise';

@inline
export function c(entry: usize): i32 {
  return load<i32>(entry, 20);
}

/** c z is c where a sign bit is clear and c - 2c where it is set. */
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

/** Four directions at once, block by block: a short vector costs no more signs than it has. */
function applyFourSigns(q: usize, n: usize, entry: usize, id: u32, group: u32): void {
  const e1 = entry + ENTRY;
  const e2 = e1 + ENTRY;
  const e3 = e2 + ENTRY;
  const sum = i32x4.splat(c(entry) + c(e1) + c(e2) + c(e3));
  const d0 = i32x4.splat(c(entry) << 1);
  const d1 = i32x4.splat(c(e1) << 1);
  const d2 = i32x4.splat(c(e2) << 1);
  const d3 = i32x4.splat(c(e3) << 1);
  for (let block: u32 = group * 4, end = block + u32((n + BLOCK - 1) / BLOCK); block < end; block++) {
    wordsOfFour(entry, DENSE | id, block, WORDS);
    let r0 = v128.load(WORDS);
    let r1 = v128.load(WORDS, 16);
    let r2 = v128.load(WORDS, 32);
    let r3 = v128.load(WORDS, 48);
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

/** n elements of one group, all directions of the table, while it stands in the first-level cache. */
function applyGroup(q: usize, n: usize, count: usize, binomial: bool, id: u32, group: u32): void {
  const end = TABLE + count * ENTRY;
  let entry = TABLE;
  if (binomial) {
    for (; entry < end; entry += ENTRY) applyBinomial(q, entry, id, group);
    return;
  }
  for (; entry + 4 * ENTRY <= end; entry += 4 * ENTRY) applyFourSigns(q, n, entry, id, group);
  for (; entry < end; entry += ENTRY) applySign(q, entry, id, group);
}

/** Gives the group at `now` back what it was before, where the bits of the mask are clear. */
export function holdStill(now: usize, before: usize, mask: usize): void {
  for (const end = mask + 64; mask < end; mask += 16) {
    let r = v128.load(mask);
    for (let t = 0; t < 32; t++, now += 16, before += 16) {
      v128.store(now, v128.bitselect(v128.load(now), v128.load(before), i32x4.shr_s(r, 31)));
      r = i32x4.shl(r, 1);
    }
  }
}

/**
 * q += Σ c z over the first `count` entries, z dense; q begins with a group.
 * @param mask bits of the elements that move, from that group on; 0 if all do.
 */
export function applyDense(q: usize, n: usize, count: usize, binomial: bool, id: u32, group: u32, mask: usize): void {
  for (let part: usize = 0; n > 0; n -= part, q += part * 4, group++) {
    part = min(n, GROUP);
    if (part == GROUP && mask == 0) {
      applyGroup(q, GROUP, count, binomial, id, group);
      continue;
    }
    memory.copy(TAIL_Q, q, part * 4);
    applyGroup(TAIL_Q, part, count, binomial, id, group);
    if (mask != 0) {
      memory.copy(TAIL_PLUS, q, part * 4);
      holdStill(TAIL_Q, TAIL_PLUS, mask);
      mask += 64;
    }
    memory.copy(q, TAIL_Q, part * 4);
  }
}
