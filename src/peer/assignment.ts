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
  /** By which invite it came, where those who came by it may have no more than a part of a round. */
  readonly invite?: string | undefined;
  /** That part, 0 to 1. Alike for all of an invite. */
  readonly maxShare?: number | undefined;
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

/** Records that all who came by one invite may have together. */
export const capOf = (maxShare: number, records: number): number => Math.floor(maxShare * records);

/** Who shares a cap: those of one invite, or all who have none. */
interface Pool {
  readonly members: Worker[];
  readonly cap: number;
}

/**
 * Divides `records` in proportion to rate: everybody gets one, the rest goes by the largest remainder. With fewer
 * records than workers, those who have waited longest get one each. No invite gets more than its part: what it may not
 * have goes to the others, and where all are at their caps, to nobody. The ranges follow each other from 0 on without a
 * gap, in the order of slots.
 */
export function assign(workers: readonly Worker[], records: number): Range[] {
  const pools = poolsOf(workers, records);
  const average = meanRate(pools.flatMap(({ members }) => members)) ?? 1;
  const rateOf = ({ rate = average }: Worker): number => rate;
  const totals = divide(
    pools.map(({ members, cap }) => ({ least: members.length, most: cap, weight: sum(members.map(rateOf)) })),
    records,
  );
  const counts = new Map<number, number>();
  for (const [at, { members }] of pools.entries()) {
    const parts = members.map((worker) => ({ least: 1, most: records, weight: rateOf(worker) }));
    for (const [i, count] of divide(parts, totals[at]!).entries()) counts.set(members[i]!.slot, count);
  }
  let from = 0;
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([slot, count]) => {
      const range = { slot, from, count };
      from += count;
      return range;
    });
}

/** Those who get work: who has waited longest first, as long as there is a record for each. Members by slot. */
function poolsOf(workers: readonly Worker[], records: number): Pool[] {
  const pools = new Map<string | undefined, Pool>();
  let chosen = 0;
  for (const worker of [...workers].sort((a, b) => a.worked - b.worked || a.slot - b.slot)) {
    const { invite, maxShare = 1 } = worker;
    const name = maxShare < 1 ? invite : undefined;
    const pool = pools.get(name) ?? { members: [], cap: capOf(name === undefined ? 1 : maxShare, records) };
    pools.set(name, pool);
    if (chosen === records || pool.members.length === pool.cap) continue;
    pool.members.push(worker);
    chosen++;
  }
  for (const { members } of pools.values()) members.sort((a, b) => a.slot - b.slot);
  return [...pools.values()];
}

interface Part {
  readonly least: number;
  readonly most: number;
  readonly weight: number;
}

/**
 * Water-filling: every part its least, the rest by weight; a part that would flow over stays at its most, and the others
 * share what is left. Whole numbers by the largest remainder.
 * @param total at least the sum of what is least. @returns at most that sum.
 */
function divide(parts: readonly Part[], total: number): number[] {
  const counts = parts.map(({ least }) => least);
  let open = parts.map((_, i) => i).filter((i) => parts[i]!.weight > 0);
  let spare = total - sum(counts);
  for (;;) {
    const weight = sum(open.map((i) => parts[i]!.weight));
    const ideal = new Map(open.map((i) => [i, (spare * parts[i]!.weight) / weight]));
    const full = open.filter((i) => counts[i]! + ideal.get(i)! >= parts[i]!.most);
    if (full.length === 0 || spare === 0) {
      const floors = open.map((i) => ({ i, whole: Math.floor(ideal.get(i)!), rest: ideal.get(i)! % 1 }));
      let left = spare - sum(floors.map(({ whole }) => whole));
      floors.sort((a, b) => b.rest - a.rest || a.i - b.i);
      for (const { i, whole } of floors) counts[i]! += whole + (left-- > 0 ? 1 : 0);
      return counts;
    }
    for (const i of full) {
      spare -= parts[i]!.most - counts[i]!;
      counts[i] = parts[i]!.most;
    }
    open = open.filter((i) => !full.includes(i));
    if (open.length === 0) return counts;
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

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
