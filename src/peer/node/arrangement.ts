/**
 * How the cores of a peer are shared out: one replica that computes with all of them, or several with fewer threads
 * each, side by side, every one with weights of its own. Threads within a product of matrices wait for each other, the
 * more so the smaller it is; replicas do not. Which is faster is measured when a peer starts.
 *
 * @module
 */
import type { Manifest } from '../../nouns.ts';
import type { Clock } from '../../ports.ts';
import type { ThreadedReplica } from '../replica-calls.ts';

export interface Arrangement {
  readonly workers: number;
  /** Of each worker. */
  readonly threads: number;
}

/** What may limit the number of workers. */
export interface Limits {
  readonly cores: number;
  /** Bytes. */
  readonly freeMemory: number;
  /** Of one replica, in bytes. */
  readonly weights: number;
  /** Of a round, over all peers. */
  readonly records: number;
}

/** Records that a worker should have at least: a full call of samples of 64 tokens. */
const CALL = 4;

/** Pure. Most workers: half of the memory holds their weights, and a round has work for all of them. */
export const mostWorkers = ({ cores, freeMemory, weights, records }: Limits): number =>
  Math.max(1, Math.min(cores, Math.floor(freeMemory / 2 / weights), Math.floor(records / CALL)));

/** Numbers of threads worth a trial: all cores, and the fewest that leave none idle, and twice as many. */
export function candidates({ cores, ...limits }: Limits): readonly number[] {
  const fewest = Math.ceil(cores / mostWorkers({ cores, ...limits }));
  return [...new Set([cores, Math.min(cores, 2 * fewest), fewest])];
}

/** Workers compete for caches and memory, which one of them, measured alone, does not show; and they cost memory. */
const MARGIN = 1.1;

/**
 * Pure. All cores for one worker, unless several are clearly faster.
 * @param ms number of threads → ms of the same records by one worker.
 */
export function chooseArrangement(limits: Limits, ms: ReadonlyMap<number, number>): Arrangement {
  const { cores } = limits;
  const most = mostWorkers(limits);
  let best: Arrangement = { workers: 1, threads: cores };
  let least = (ms.get(cores) ?? 0) / MARGIN;
  for (const [threads, one] of ms) {
    const workers = Math.min(Math.floor(cores / threads), most);
    if (one / workers >= least) continue;
    best = { workers, threads };
    least = one / workers;
  }
  return best;
}

/** Bytes of a replica's weights at most: four for each weight, which takes two or four in a file. */
export const weightBytes = ({ base }: Manifest): number =>
  base.files.filter(({ path }) => path.endsWith('.safetensors')).reduce((sum, { bytes }) => sum + 2 * bytes, 0);

/** Records of a trial. */
const RECORDS = 2 * CALL;
const [LEAST_TURNS, MOST_TURNS] = [3, 7];
/** Time for the turns of a trial. */
const BUDGET_MS = 500;
/** A model that needs longer than this on one core keeps any number of threads busy: there is nothing to choose. */
const SMALL_MS = 300;

/**
 * Chooses for a replica that was just opened with as many threads as there are cores, and gives it its threads.
 * @param freeMemory bytes, before it was opened.
 */
export async function arrange(
  replica: ThreadedReplica,
  manifest: Manifest,
  cores: number,
  freeMemory: number,
  clock: Clock,
): Promise<Arrangement> {
  const { records_per_round: records, samples_per_record, initial_scale: scale, clip } = manifest;
  // Where a record is a whole batch, a peer is given one or two a round: too few to share out.
  const limits = { cores, freeMemory, weights: weightBytes(manifest), records: samples_per_record > 1 ? 1 : records };
  if (mostWorkers(limits) === 1) return { workers: 1, threads: cores };
  const time = async (threads: number): Promise<number> => {
    await replica.adjust(threads, 'keep');
    const began = clock.now();
    await replica.measure({ round: 0, scale, clip }, 0, Math.min(RECORDS, records));
    return clock.now() - began;
  };
  const chosen = chooseArrangement(limits, await trial(candidates(limits), time, clock));
  await replica.adjust(chosen.threads, 'release');
  return chosen;
}

/** @param time of one call with so many threads. @returns medians; of the first candidate alone, if the model is large. */
async function trial(
  [all, ...fewer]: readonly number[],
  time: (threads: number) => Promise<number>,
  clock: Clock,
): Promise<ReadonlyMap<number, number>> {
  await time(all!); // compiles
  const quickest = Math.min(await time(all!), await time(all!)); // whatever else the machine does while it starts
  if (quickest * all! > SMALL_MS) return new Map([[all!, quickest]]);
  for (const threads of fewer) await time(threads);
  const times = new Map([all!, ...fewer].map((threads) => [threads, [] as number[]]));
  const began = clock.now();
  for (let turn = 0; turn < MOST_TURNS && (turn < LEAST_TURNS || clock.now() - began < BUDGET_MS); turn++)
    for (const [threads, each] of times) each.push(await time(threads));
  return new Map([...times].map(([threads, each]) => [threads, median(each)]));
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
