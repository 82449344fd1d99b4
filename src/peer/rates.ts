/**
 * How much one connection may say: a bucket of messages for each kind, which fills with time and with what the host has
 * said to it. A run has no fixed pace, so what is too fast follows from the run's own.
 *
 * @module
 */

/** `work`: ready, checksum, contribution. `exchange`: what moves vectors. */
export type Kind = 'work' | 'exchange';

interface Limit {
  /** Messages that may come at once. */
  readonly most: number;
  /** Messages a second, whatever the host says. */
  readonly perSecond: number;
  /** More of them for each commit and each `open`. */
  readonly perRound: number;
}

/**
 * Work: an honest peer answers a commit with a checksum and an `open` with a contribution, and says `ready` when it has
 * come. Twice that, and a few a second for those that repeat themselves. Exchange: a chunk has up to half a megabyte, and
 * 2,000 a second are more than any line carries.
 */
const LIMITS: Readonly<Record<Kind, Limit>> = {
  work: { most: 64, perSecond: 16, perRound: 4 },
  exchange: { most: 4096, perSecond: 2000, perRound: 0 },
};

interface Bucket {
  left: number;
  at: number;
}

/** What is left of each kind. Changed in place: there is one for every message of every peer. */
export type Allowance = Readonly<Record<Kind, Bucket>>;

/** @param now in milliseconds. */
export const allowance = (now: number): Allowance => ({
  work: { left: LIMITS.work.most, at: now },
  exchange: { left: LIMITS.exchange.most, at: now },
});

/** Takes one message out. @returns false where there is none left. */
export function spend(buckets: Allowance, kind: Kind, now: number): boolean {
  const bucket = buckets[kind];
  const { most, perSecond } = LIMITS[kind];
  bucket.left = Math.min(most, bucket.left + ((now - bucket.at) / 1000) * perSecond);
  bucket.at = now;
  if (bucket.left < 1) return false;
  bucket.left--;
  return true;
}

/** Types of frames that ask for an answer, or make one due: `open` and `commit` (docs/WIRE.md 2). */
const ROUND = new Set([0x83, 0x84]);

/** The host has sent a frame. */
export function granted(buckets: Allowance, frame: Uint8Array): void {
  if (!ROUND.has(frame[0]!)) return;
  for (const kind of ['work', 'exchange'] as const) {
    const { most, perRound } = LIMITS[kind];
    buckets[kind].left = Math.min(most, buckets[kind].left + perRound);
  }
}
