/**
 * The multipliers of the keyed linear checksum (docs/NUMBERS.md 8). It is a sum, so chunks, tensors and updates add up;
 * it finds drift, not forgery: a Merkle root does that.
 *
 * @module
 */

/** x ← (x ^ x >> 16) · 0x85ebca6b; x ^ x >> 13: the first half of MurmurHash3's finaliser (Appleby, public domain). */
export function mixLow(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  return x ^ (x >>> 13);
}

/** The second half: (x · 0xc2b2ae35) ^ >> 16. Both halves are bijections of u32. */
export function mixHigh(x: number): number {
  x = Math.imul(x, 0xc2b2ae35);
  return x ^ (x >>> 16);
}

const mix = (x: number): number => mixHigh(mixLow(x));

/** The key under which weights are summed after `round` rounds: a new one each time, so that no two errors cancel twice. */
export const checksumKey = (round: number, run: number): number => mix(mix(round) ^ run) >>> 0;
