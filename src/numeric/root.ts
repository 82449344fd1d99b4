/**
 * Square roots where bits matter (docs/NUMBERS.md 6): of integers, rounded down, and of doubles, by a guess from the bits
 * and five steps of Newton. IEEE has a root and processors too, but ECMAScript lets engines differ in theirs.
 *
 * @module
 */

/** floor(sqrt(n)) by Newton's iteration from above. */
export function isqrt(n: bigint): bigint {
  if (n < 2n) return n;
  let x = 1n << (BigInt(n.toString(2).length + 1) >> 1n); // at least sqrt(n)
  for (;;) {
    const next = (x + n / x) >> 1n;
    if (next >= x) return x;
    x = next;
  }
}

/** sqrt(n) with 16 fractional bits, rounded down. @param n below 2^32 */
export const root16 = (n: number): number => Number(isqrt(BigInt(n) << 32n)) / 65536;

const STEPS = 5;

const bits = new DataView(new ArrayBuffer(8));

/** √x for x >= 0, within a bit of the last place. The guess is off by 6 % at most, and a step squares that and halves it. */
export function squareRoot(x: number): number {
  if (x === 0) return 0;
  bits.setFloat64(0, x);
  bits.setUint32(0, (bits.getUint32(0) >>> 1) + 0x1ff80000); // half the exponent
  bits.setUint32(4, 0);
  let y = bits.getFloat64(0);
  for (let step = 0; step < STEPS; step++) y = (y + x / y) / 2;
  return y;
}
