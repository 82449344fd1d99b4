/** Factors of low-rank directions as floats, whole or at chosen places. */
import { BLOCK, ENTRY, TABLE, TAIL_MINUS, TAIL_PLUS, TAIL_Q, WORDS } from './memory';
import { philox, wordsOfFour } from './noise';

/** 4 ⌈n/4⌉ elements or fewer: ±plus and ±minus by the signs that the words of a block hold. */
function both(r: v128, plus: v128, minus: v128, n: usize, above: usize, below: usize): void {
  const signBit = i32x4.splat(0x80000000);
  for (; n >= 4; n -= 4, above += 16, below += 16) {
    const sign = v128.and(r, signBit);
    v128.store(above, v128.xor(plus, sign));
    v128.store(below, v128.xor(minus, sign));
    r = i32x4.shl(r, 1);
  }
  if (n == 0) return;
  const sign = v128.and(r, signBit);
  v128.store(TAIL_PLUS, v128.xor(plus, sign));
  v128.store(TAIL_MINUS, v128.xor(minus, sign));
  memory.copy(above, TAIL_PLUS, n * 4);
  memory.copy(below, TAIL_MINUS, n * 4);
}

/**
 * out (2 directions, rank, n): rows ±plus and ±minus of every direction, the signs from block `block` on of its
 * components, which are the first `count` entries.
 */
export function factors(lane: u32, count: usize, rank: usize, plus: f32, minus: f32, block: u32, n: usize, out: usize): void {
  const p = f32x4.splat(plus);
  const m = f32x4.splat(minus);
  const pitch = n * 4;
  for (let done: usize = 0; done < n; done += BLOCK, block++) {
    const part = min(n - done, BLOCK);
    for (let first: usize = 0; first < count; first += 4) {
      wordsOfFour(TABLE + first * ENTRY, lane, block, WORDS);
      const end = min(first + 4, count);
      for (let e = first, r = WORDS; e < end; e++, r += 16) {
        const above = out + ((e / rank) * 2 * rank + (e % rank)) * pitch + done * 4;
        both(v128.load(r), p, m, part, above, above + rank * pitch);
      }
    }
  }
}

/** The sign bit of element e, its block in `lane`. */
@inline
function signAt(e: u32, lane: u32): u32 {
  return (load<u32>(WORDS + ((e & 3) << 4) + (lane << 2)) << ((e & 127) >> 2)) & 0x80000000;
}

/** ±value at n given elements, the signs those of entry 0, a lane for each. */
export function factorAt(lane: u32, value: f32, index: usize, n: usize, out: usize): void {
  const bits = reinterpret<u32>(value);
  for (; n > 0; index += 16, out += 16) {
    const count = n < 4 ? n : 4;
    memory.copy(TAIL_Q, index, count * 4);
    v128.store(WORDS, i32x4.shr_u(v128.load(TAIL_Q), 7));
    philox(TABLE, lane, WORDS);
    for (let i: usize = 0; i < count; i++)
      store<u32>(out + (i << 2), bits ^ signAt(load<u32>(TAIL_Q + (i << 2)), u32(i)));
    n -= count;
  }
}
