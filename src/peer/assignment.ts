/**
 * Who measures what: the records of a round as contiguous ranges, sized so that all peers finish together.
 *
 * @module
 */

/** A peer that may be given work. */
export interface Worker {
  readonly slot: number;
  /** Records per millisecond, or undefined for a newcomer: it is taken to be average. */
  readonly rate: number | undefined;
  /** Last round in which it had work; −1: never. Decides who pauses when there is less work than peers. */
  readonly worked: number;
}

/** Records `from` … `from + count - 1` belong to `slot`. */
export interface Range {
  readonly slot: number;
  readonly from: number;
  readonly count: number;
}

/** Mean of the rates that are known; undefined if none is. */
export function meanRate(workers: readonly Pick<Worker, 'rate'>[]): number | undefined {
  let [sum, known] = [0, 0];
  for (const { rate } of workers) {
    if (rate === undefined) continue;
    sum += rate;
    known++;
  }
  return known === 0 ? undefined : sum / known;
}

/**
 * Divides `records` in proportion to rate: everybody gets one, the rest goes by the largest remainder. With fewer
 * records than workers, those who have waited longest get one each. The ranges cover 0 … records − 1 without a gap,
 * in the order of slots.
 */
export function assign(workers: readonly Worker[], records: number): Range[] {
  const waitedLongest = (a: Worker, b: Worker): number => a.worked - b.worked || a.slot - b.slot;
  const chosen = [...workers]
    .sort(waitedLongest)
    .slice(0, records)
    .sort((a, b) => a.slot - b.slot);
  const average = meanRate(chosen) ?? 1;
  const rates = chosen.map((worker) => worker.rate ?? average);
  const total = rates.reduce((sum, rate) => sum + rate, 0);
  const spare = records - chosen.length;
  const ideal = rates.map((rate) => (spare * rate) / total);
  const counts = ideal.map((share) => 1 + Math.floor(share));
  let left = records - counts.reduce((sum, count) => sum + count, 0);
  const byRemainder = ideal
    .map((share, index) => ({ index, remainder: share - Math.floor(share) }))
    .sort((a, b) => b.remainder - a.remainder || a.index - b.index);
  for (const { index } of byRemainder) {
    if (left-- <= 0) break;
    counts[index]!++;
  }
  let from = 0;
  return chosen.map(({ slot }, index) => {
    const range = { slot, from, count: counts[index]! };
    from += range.count;
    return range;
  });
}

/** A peer below this part of the fastest one's rate takes fewer steps, so that the others need not wait for it. */
const SLOW = 0.5;

/** The same steps for everybody, each on its own data; fewer for whoever is much slower than the fastest. */
export function assignSteps(workers: readonly Worker[], steps: number): Range[] {
  const fastest = Math.max(...workers.map(({ rate }) => rate ?? 0));
  return [...workers]
    .sort((a, b) => a.slot - b.slot)
    .map(({ slot, rate = fastest }) => {
      const share = fastest === 0 ? 1 : rate / fastest;
      return { slot, from: 0, count: share < SLOW ? Math.max(1, Math.floor(share * steps)) : steps };
    });
}
