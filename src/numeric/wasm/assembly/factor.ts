/** Factors of low-rank directions as floats, whole or at chosen places. */
import { GROUP, GROUP_BYTES, TABLE, TAIL_PLUS, TAIL_Q, WORDS } from './memory';
import { philox, words } from './noise';

/** out = ±value, the signs those of entry 0 in `lane`, from the first one of `group` on. */
export function factor(lane: u32, value: f32, group: u32, n: usize, out: usize): void {
  const v = f32x4.splat(value);
  const signBit = i32x4.splat(0x80000000);
  for (; n > 0; group++) {
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

/** The sign bit of element e, its block in `lane`. */
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
    v128.store(WORDS, i32x4.shr_u(v128.load(TAIL_Q), 7));
    philox(TABLE, lane, WORDS);
    for (let i: usize = 0; i < count; i++)
      store<u32>(out + (i << 2), bits ^ signAt(load<u32>(TAIL_Q + (i << 2)), u32(i)));
    n -= count;
  }
}
