/** Keyed linear checksum (docs/NUMBERS.md 8), and the largest magnitude alone. */
import { TABLE, TAIL_Q } from './memory';

/** Results of `checksum`: low, high, peak (u32), at TABLE. */
export function checksum(q: usize, n: usize, key: u32, offset: u32): void {
  let weyl = i32x4.add(
    i32x4.mul(i32x4.add(i32x4.splat(offset), i32x4(0, 1, 2, 3)), i32x4.splat(0x9e3779b1)),
    i32x4.splat(key),
  );
  // In locals, or they are made again for every vector.
  const step = i32x4.splat(4 * 0x9e3779b1);
  const one = i32x4.splat(1);
  const mixLow = i32x4.splat(0x85ebca6b);
  const mixHigh = i32x4.splat(0xc2b2ae35);
  let low = i32x4.splat(0);
  let high = low;
  let peak = low;
  let end = q + (n & ~3) * 4;
  const rest = (n & 3) * 4;
  v128.store(TAIL_Q, low); // zeros add nothing
  memory.copy(TAIL_Q, end, rest);
  for (;;) {
    for (; q < end; q += 16) {
      const x = v128.load(q);
      let m = i32x4.mul(v128.xor(weyl, i32x4.shr_u(weyl, 16)), mixLow);
      m = v128.xor(m, i32x4.shr_u(m, 13));
      low = i32x4.add(low, i32x4.mul(x, v128.or(m, one)));
      m = i32x4.mul(m, mixHigh);
      m = v128.xor(m, i32x4.shr_u(m, 16));
      high = i32x4.add(high, i32x4.mul(x, v128.or(m, one)));
      peak = i32x4.max_u(peak, i32x4.abs(x));
      weyl = i32x4.add(weyl, step);
    }
    if (end <= TAIL_Q + 16 || rest == 0) break;
    q = TAIL_Q;
    end = TAIL_Q + 16;
  }
  low = i32x4.add(low, v128.shuffle<i32>(low, low, 2, 3, 0, 1));
  high = i32x4.add(high, v128.shuffle<i32>(high, high, 2, 3, 0, 1));
  peak = i32x4.max_u(peak, v128.shuffle<i32>(peak, peak, 2, 3, 0, 1));
  store<i32>(TABLE, i32x4.extract_lane(low, 0) + i32x4.extract_lane(low, 1));
  store<i32>(TABLE, i32x4.extract_lane(high, 0) + i32x4.extract_lane(high, 1), 4);
  store<u32>(TABLE, max(u32(i32x4.extract_lane(peak, 0)), u32(i32x4.extract_lane(peak, 1))), 8);
}

/** max |q|, a u32. */
export function peak(q: usize, n: usize): u32 {
  let most = i32x4.splat(0);
  let other = most;
  const end = q + n * 4;
  const whole = q + (n & ~7) * 4;
  for (; q < whole; q += 32) {
    most = i32x4.max_u(most, i32x4.abs(v128.load(q)));
    other = i32x4.max_u(other, i32x4.abs(v128.load(q, 16)));
  }
  for (; q < end; q += 4) other = i32x4.max_u(other, i32x4.abs(v128.load32_splat(q)));
  most = i32x4.max_u(most, other);
  most = i32x4.max_u(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  return max(u32(i32x4.extract_lane(most, 0)), u32(i32x4.extract_lane(most, 1)));
}
