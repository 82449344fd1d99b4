/**
 * Who makes a merge: the host, or the peers that it is made of, some parts each, so that what an optimizer keeps lies with
 * all of them in parts (reduce-scatter; ZeRO, Rajbhandari et al. 2020, arXiv:1910.02054, stage 1). One that fails costs
 * what it kept of its parts and never the round: the others make it without.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { noiseUniforms } from '../numeric/uniform.ts';
import type { Summing } from './replica.ts';

/** A share, by the names of its chunks. */
export interface Held {
  readonly slot: number;
  readonly count: number;
  readonly hashes: readonly Uint8Array[];
}

/** One that makes parts of a merge. It fails with a Fault. */
export interface Maker {
  sum(shares: readonly Held[], parts: readonly number[]): Promise<Summing>;
  /** @returns hashes of the chunks of its parts, which are with the host by then. */
  settle(norm: number): Promise<readonly Uint8Array[]>;
}

export interface Made {
  /** Chunks of the whole change, in order; none where every share was refused. */
  readonly hashes: readonly Uint8Array[];
  readonly refused: readonly number[];
}

/**
 * Which of the slots makes a part: the one that draws the highest number for it (rendezvous hashing, Thaler and Ravishankar
 * 1998), so that one who goes or comes changes hands of its own parts only.
 */
export function makerOf(part: number, slots: readonly number[]): number {
  const drawn = (slot: number): number =>
    noiseUniforms((Math.imul(slot + 1, 0x9e3779b1) ^ Math.imul(part + 1, 0x85ebca6b)) >>> 0, 1)[0]!;
  return slots.reduce((best, slot) => (drawn(slot) > drawn(best) ? slot : best));
}

interface Job {
  /** undefined: the host. */
  readonly slot: number | undefined;
  readonly maker: Maker;
  readonly parts: readonly number[];
}

/** Every part once. */
function jobsOf(parts: number, makers: ReadonlyMap<number, Maker>, here: Maker): Job[] {
  const all = Array.from({ length: parts }, (_, part) => part);
  const slots = [...makers.keys()].sort((a, b) => a - b);
  if (slots.length === 0) return [{ slot: undefined, maker: here, parts: all }];
  return slots
    .map((slot) => ({ slot, maker: makers.get(slot)!, parts: all.filter((part) => makerOf(part, slots) === slot) }))
    .filter((job) => job.parts.length > 0);
}

/**
 * @param parts chunks of each. @param makers by slot; without any the host makes all. @param onFailed hears of each that
 * is given up. @throws what the host's own work throws
 */
export async function makeMerge(
  parts: readonly number[],
  given: readonly Held[],
  makers: ReadonlyMap<number, Maker>,
  here: Maker,
  onFailed: (slot: number, fault: Fault) => void,
): Promise<Made> {
  const refused = new Set<number>();
  const able = new Map(makers);

  /** What all jobs give; undefined where one of them has failed, and is given up. */
  async function all<T>(jobs: readonly Job[], work: (job: Job) => Promise<T>): Promise<readonly T[] | undefined> {
    const ends = await Promise.allSettled(jobs.map(work));
    let failed = false;
    for (const [i, end] of ends.entries()) {
      if (end.status === 'fulfilled') continue;
      const { slot } = jobs[i]!;
      if (slot === undefined || !(end.reason instanceof Fault)) throw end.reason;
      able.delete(slot);
      onFailed(slot, end.reason);
      failed = true;
    }
    return failed ? undefined : ends.map((end) => (end as PromiseFulfilledResult<T>).value);
  }

  for (;;) {
    const shares = given.filter(({ slot }) => !refused.has(slot));
    if (shares.length === 0) return { hashes: [], refused: [...refused] };
    const jobs = jobsOf(parts.length, able, here);
    const sums = await all(jobs, ({ maker, parts: own }) => maker.sum(shares, own));
    if (sums === undefined) continue;
    const lies = sums.flatMap((sum) => sum.refused);
    if (lies.length > 0) {
      for (const slot of lies) refused.add(slot);
      continue;
    }
    // In the order of parts: the same norm whoever made them.
    const squares: number[] = [];
    for (const [i, job] of jobs.entries())
      for (const [j, part] of job.parts.entries()) squares[part] = sums[i]!.squares[j]!;
    const norm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
    const settled = await all(jobs, ({ maker }) => maker.settle(norm));
    if (settled === undefined) continue;
    const ofPart: (readonly Uint8Array[])[] = [];
    for (const [i, job] of jobs.entries()) {
      let first = 0;
      for (const part of job.parts) {
        ofPart[part] = settled[i]!.slice(first, first + parts[part]!);
        first += parts[part]!;
      }
    }
    return { hashes: ofPart.flat(), refused: [...refused] };
  }
}
