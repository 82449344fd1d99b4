/**
 * How long a run will take, from the pace of its latest rounds.
 *
 * @module
 */

/** Rounds over which the time left is estimated. */
const RECENT = 20;

export interface Pacer {
  /** So many rounds are done now. */
  hear(round: number): void;
  /** Seconds left as it was at the last round; undefined before two. */
  left(): number | undefined;
}

/** @param now milliseconds. */
export function pacer(maxSteps: number, now: () => number): Pacer {
  const times: number[] = [];
  let done = 0;
  return {
    hear(round) {
      done = round;
      times.push(now());
      if (times.length > RECENT + 1) times.shift();
    },
    left() {
      if (times.length < 2) return undefined;
      const perRound = (times.at(-1)! - times[0]!) / (times.length - 1);
      return ((maxSteps - done) * perRound) / 1000;
    },
  };
}
