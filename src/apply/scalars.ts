/**
 * Directions that several peers measured: their codes are votes, and a rule that bears with liars makes one number of
 * them (DeComFL, arXiv:2405.15861, with the aggregators of `aggregate/` over scalars). Normative text: docs/NUMBERS.md 6.
 *
 * The result is a function of the set of a round alone: votes are sorted before they are added.
 *
 * @module
 */
import { NO_LOSS, type Round, type ScalarAggregation } from '../nouns.ts';

/** What one peer says of one direction: the mean of its codes. */
interface Vote {
  readonly slot: number;
  readonly value: number;
}

/** A direction of the round, and what is added along it, in codes. */
export interface Scalar {
  /** Number of the direction in its round. */
  readonly direction: number;
  /** Aggregate of the votes times the usable codes they are made of: with a mean in place of a rule, the sum of codes. */
  readonly amount: number;
}

type Votes = ReadonlyMap<number, readonly Vote[]>;

/** Of an even number of values, the mean of the middle two. */
function median(ascending: readonly number[]): number {
  const n = ascending.length;
  return (ascending[(n - 1) >> 1]! + ascending[n >> 1]!) / 2;
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

const ascending = (votes: readonly Vote[]): number[] => votes.map(({ value }) => value).sort((a, b) => a - b);

/** Votes of the peers that are kept: all but the f whose votes lie farthest from the medians of their directions. */
function nearest(votes: Votes, f: number): ReadonlySet<number> {
  const sums = new Map<number, { squares: number; n: number }>();
  for (const cast of votes.values()) {
    const middle = median(ascending(cast));
    for (const { slot, value } of cast) {
      const { squares, n } = sums.get(slot) ?? { squares: 0, n: 0 };
      sums.set(slot, { squares: squares + (value - middle) * (value - middle), n: n + 1 });
    }
  }
  const peers = [...sums].map(([slot, { squares, n }]) => ({ slot, distance: squares / n }));
  // Of equals the lower slot stays.
  peers.sort((a, b) => a.distance - b.distance || a.slot - b.slot);
  return new Set(peers.slice(0, Math.max(0, peers.length - f)).map(({ slot }) => slot));
}

type Rule = (votes: Votes, f: number) => (cast: readonly Vote[]) => number;

const RULES: Readonly<Record<ScalarAggregation['rule'], Rule>> = {
  median: () => (cast) => median(ascending(cast)),
  trimmed_mean: (_, f) => (cast) => meanOf(ascending(cast).slice(f, cast.length - f)),
  nna(votes, f) {
    const kept = nearest(votes, f);
    return (cast) => {
      const values = cast.flatMap(({ slot, value }) => (kept.has(slot) ? [value] : []));
      return values.length === 0 ? 0 : meanOf(values);
    };
  },
};

/**
 * @param by of the manifest. @param shared directions of a round: record i is of direction i mod shared.
 * @returns by direction, ascending. One with 2f votes or fewer is left out: there may be more liars among them than others.
 */
export function scalarsOf(
  { rule, byzantine: f }: ScalarAggregation,
  shared: number,
  { header: { clip }, segments }: Round,
): readonly Scalar[] {
  const sums = new Map<number, Map<number, { sum: number; n: number }>>();
  for (const { slot, from, codes } of segments)
    for (const [i, code] of codes.entries()) {
      if (code === NO_LOSS) continue;
      const direction = (from + i) % shared;
      const peers = sums.get(direction) ?? new Map<number, { sum: number; n: number }>();
      const { sum, n } = peers.get(slot) ?? { sum: 0, n: 0 };
      sums.set(direction, peers.set(slot, { sum: sum + Math.max(-clip, Math.min(clip, code)), n: n + 1 }));
    }
  const heard = [...sums].filter(([, peers]) => peers.size > 2 * f).sort(([a], [b]) => a - b);
  const votes: Votes = new Map(
    heard.map(([direction, peers]) => {
      const cast = [...peers].map(([slot, { sum, n }]): Vote => ({ slot, value: sum / n }));
      return [direction, cast.sort((a, b) => a.slot - b.slot)];
    }),
  );
  const aggregate = RULES[rule](votes, f);
  return heard.map(([direction, peers]) => {
    const n = [...peers.values()].reduce((total, one) => total + one.n, 0);
    return { direction, amount: aggregate(votes.get(direction)!) * n };
  });
}
