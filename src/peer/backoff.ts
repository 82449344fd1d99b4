/**
 * How long a peer waits before it tries to reach its host again.
 *
 * @module
 */

/** Doubled with each attempt, up to a limit. */
const FIRST_MS = 500;
const MOST_MS = 10_000;
/** With the last round here only the host's last word is missing, for which it does not stay long (`rounds.ts`). */
const LAST_MS = 2000;

/** No peer waits longer than this between two attempts. */
export const RETURN_MS: number = 1.5 * MOST_MS;

/**
 * @param attempt in vain so far, from 0. @param entropy random bytes: peers are not to return all at once.
 * @param last all rounds of the run are here.
 */
export function retryMs(attempt: number, entropy: (bytes: number) => Uint8Array, last: boolean): number {
  const spread = 0.5 + new DataView(entropy(4).slice().buffer).getUint32(0) / 2 ** 32;
  return Math.floor(Math.min(last ? LAST_MS : MOST_MS, FIRST_MS * 2 ** attempt) * spread);
}
