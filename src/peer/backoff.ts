/**
 * How long a peer waits before it tries to reach its host again.
 *
 * @module
 */

/** Doubled with each attempt, up to a limit. */
const FIRST_MS = 500;
const MOST_MS = 10_000;
/** A host that has come to the end stays for a peer that was there a moment ago, and not for long (`rounds.ts`). */
const EAGER_MS = 2000;

/** No peer waits longer than this between two attempts. */
export const RETURN_MS: number = 1.5 * MOST_MS;

/**
 * @param attempt in vain so far, from 0. @param entropy random bytes: peers are not to return all at once.
 * @param eager all rounds of the run are here, or the host was, less than RETURN_MS ago.
 */
export function retryMs(attempt: number, entropy: (bytes: number) => Uint8Array, eager: boolean): number {
  const spread = 0.5 + new DataView(entropy(4).slice().buffer).getUint32(0) / 2 ** 32;
  return Math.floor(Math.min(eager ? EAGER_MS : MOST_MS, FIRST_MS * 2 ** attempt) * spread);
}
