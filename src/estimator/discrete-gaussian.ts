/**
 * Whole numbers of a discrete Gaussian: P(x) ∝ exp(-x² / 2σ²) (Canonne, Kamath, Steinke 2020, arXiv:2004.00010, Algorithms
 * 1 to 3). Exact: only whole numbers are drawn and compared, so no rounding tells what was added to what.
 *
 * @module
 */

/** Random bytes that nobody else has. */
export type Entropy = (bytes: number) => Uint8Array;

/** A whole number below n, each as likely. */
function below(n: bigint, entropy: Entropy): bigint {
  const bits = (n - 1n).toString(2).length;
  const bytes = Math.ceil(bits / 8);
  const mask = (1n << BigInt(bits)) - 1n;
  for (;;) {
    let x = 0n;
    for (const byte of entropy(bytes)) x = (x << 8n) | BigInt(byte);
    x &= mask;
    if (x < n) return x;
  }
}

/** True with probability exp(-p / q), p / q in 0 … 1. */
function smallCoin(p: bigint, q: bigint, entropy: Entropy): boolean {
  let k = 1n;
  while (below(q * k, entropy) < p) k++;
  return k % 2n === 1n;
}

/** True with probability exp(-p / q). */
function coin(p: bigint, q: bigint, entropy: Entropy): boolean {
  for (let whole = p / q; whole > 0n; whole--) if (!smallCoin(1n, 1n, entropy)) return false;
  return smallCoin(p % q, q, entropy);
}

/** P(x) ∝ exp(-|x| / t). */
function laplace(t: bigint, entropy: Entropy): bigint {
  for (;;) {
    const part = below(t, entropy);
    if (!coin(part, t, entropy)) continue;
    let whole = 0n;
    while (smallCoin(1n, 1n, entropy)) whole++;
    const size = part + t * whole;
    const negative = below(2n, entropy) === 1n;
    if (!(negative && size === 0n)) return negative ? -size : size;
  }
}

/** @param sigma a whole number, 1 or more, below 2^24. */
export function discreteGaussian(sigma: number, entropy: Entropy): number {
  if (!(Number.isInteger(sigma) && sigma >= 1 && sigma < 2 ** 24))
    throw new RangeError(`"sigma" expected an integer from 1 to below 2^24, got ${sigma}`);
  const variance = BigInt(sigma) ** 2n;
  const t = BigInt(sigma) + 1n;
  for (;;) {
    const y = laplace(t, entropy);
    const away = (y < 0n ? -y : y) * t - variance;
    if (coin(away * away, 2n * variance * t * t, entropy)) return Number(y);
  }
}
