/**
 * Square roots where bits matter: in integers.
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
