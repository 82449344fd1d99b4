/**
 * Curves as numbers: what is plotted, before anything is drawn.
 *
 * @module
 */

/**
 * Exponential moving average, corrected for its beginning as Adam's moments are, so that the first value is itself.
 * Gaps stay gaps.
 * @param weight of the past, 0 to below 1.
 */
export function smoothed(values: readonly (number | null)[], weight: number): (number | null)[] {
  let mean = 0;
  let bias = 1;
  return values.map((value) => {
    if (value === null) return null;
    mean = weight * mean + (1 - weight) * value;
    bias *= weight;
    return mean / (1 - bias);
  });
}

/** Rounds a second and seconds left over the latest `recent` rounds; undefined before two are known. */
export function paceOf(
  paces: readonly { readonly round: number; readonly at: number }[],
  maxSteps: number,
  recent = 20,
): { readonly rate: number; readonly left: number; readonly roundMs: number } | undefined {
  const last = paces.at(-1);
  const first = paces.at(-1 - Math.min(recent, paces.length - 1));
  if (!first || !last || last.at <= first.at || last.round <= first.round) return undefined;
  const roundMs = (last.at - first.at) / (last.round - first.round);
  return { rate: 1000 / roundMs, left: ((maxSteps - last.round) * roundMs) / 1000, roundMs };
}

/** Differences of a counter between consecutive points, for each round in between. */
export function perRound(
  points: readonly { readonly round: number; readonly wire: number }[],
): { readonly round: number; readonly value: number }[] {
  return points.slice(1).flatMap((point, i) => {
    const before = points[i]!;
    const rounds = point.round - before.round;
    return rounds > 0 ? [{ round: point.round, value: (point.wire - before.wire) / rounds }] : [];
  });
}

/** The lowest and highest of what is there; undefined where nothing is. */
export function extent(values: readonly (number | null)[]): readonly [number, number] | undefined {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values)
    if (value !== null && Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return low <= high ? [low, high] : undefined;
}

/** What a logarithm can be taken of; the rest are gaps. */
export const positive = (values: readonly (number | null)[]): (number | null)[] =>
  values.map((value) => (value !== null && value > 0 ? value : null));

/** About `most` points of a long list, first and last among them, evenly by index. */
export function thinned<T>(points: readonly T[], most: number): readonly T[] {
  if (points.length <= most) return points;
  return Array.from({ length: most }, (_, i) => points[Math.round((i * (points.length - 1)) / (most - 1))]!);
}
