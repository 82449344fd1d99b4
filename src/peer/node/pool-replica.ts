/**
 * Several replicas that are one: rounds are applied to all of them, a measurement is shared out, and whatever else is
 * asked the first answers. Codes do not depend on who measures them, so nobody sees the difference but in time.
 *
 * @module
 */
import { freemem } from 'node:os';
import { Fault } from '../../faults.ts';
import type { Clock } from '../../ports.ts';
import { type Arrangement, arrange } from './arrangement.ts';
import type { NodeReplica, ReplicaSpec } from './open-replica.ts';
import { threadedReplica } from './replica-thread.ts';

/** A part of a measurement. */
export interface Share {
  readonly from: number;
  readonly count: number;
}

/**
 * Cuts a range into contiguous shares of even size but for the last, as equal as that allows; with few records there
 * are fewer shares. Even, so that calls of two records and more are full.
 */
export function sharesOf(from: number, count: number, workers: number): readonly Share[] {
  const pairs = Math.ceil(count / 2);
  const parts = Math.min(workers, pairs);
  const edge = (part: number): number => Math.min(count, 2 * Math.floor((part * pairs) / parts));
  return Array.from({ length: parts }, (_, i) => ({ from: from + edge(i), count: edge(i + 1) - edge(i) }));
}

/**
 * @param replicas in the same state, of one run; the pool owns them. One that dies, or alone cannot do what the others
 * did, ends the pool: every call that waits and every later one gets its fault.
 */
export function poolReplica(replicas: readonly NodeReplica[]): NodeReplica {
  const [first] = replicas;
  if (first === undefined) throw new RangeError('"replicas" expected one or more, got none');
  let broken: Fault | undefined;

  const closeAll = async (): Promise<void> => void (await Promise.all(replicas.map((replica) => replica.close())));

  async function breaks(fault: Fault): Promise<void> {
    if (broken) return;
    broken = fault;
    await closeAll();
  }

  /** Any call of any replica. */
  async function attempt<T>(call: () => Promise<T>): Promise<T> {
    if (broken) throw broken;
    try {
      return await call();
    } catch (error) {
      if (error instanceof Fault && error.code === 'ENGINE_FAILED') await breaks(error);
      throw broken ?? error; // the pool closes the others, and that is not what happened to them
    }
  }

  /** What changes the weights must succeed everywhere or be refused everywhere. */
  async function everywhere(call: (replica: NodeReplica) => Promise<void>): Promise<void> {
    const ends = await Promise.allSettled(replicas.map((replica) => attempt(() => call(replica))));
    const refused = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
    if (refused.length === 0) return;
    if (refused.length < replicas.length)
      await breaks(new Fault('ENGINE_FAILED', 'the replicas of this machine are not alike any more'));
    throw broken ?? refused[0];
  }

  return {
    width: replicas.length,
    round: () => first.round(),
    apply: (committed) => everywhere((replica) => replica.apply(committed)),
    revise: (...args) => everywhere((replica) => replica.revise(...args)),
    restore: (...args) => everywhere((replica) => replica.restore(...args)),
    sums: (rounds) => attempt(async () => first.sums?.(rounds)),
    compose: (...args) => everywhere(async (replica) => replica.compose!(...args)),
    async measure(header, from, count) {
      const shares = sharesOf(from, count, replicas.length);
      const parts = await Promise.all(
        shares.map((share, i) => attempt(() => replicas[i]!.measure(header, share.from, share.count))),
      );
      const codes = new Int8Array(count);
      for (const [i, share] of shares.entries()) codes.set(parts[i]!, share.from - from);
      return codes;
    },
    evaluate: () => attempt(() => first.evaluate()),
    checksum: () => attempt(() => first.checksum()),
    root: () => attempt(() => first.root()),
    leaves: () => attempt(() => first.leaves()),
    snapshot: (...args) => attempt(() => first.snapshot(...args)),
    slopes: (...args) => attempt(() => first.slopes(...args)),
    generate: (...args) => attempt(() => first.generate(...args)),
    classify: (...args) => attempt(() => first.classify(...args)),
    tensor: (...args) => attempt(() => first.tensor(...args)),
    async close() {
      broken ??= new Fault('INTERRUPTED', 'the replica was closed');
      await closeAll();
    },
  };
}

/** A peer's share of a machine. */
export interface PoolOptions {
  /** Cores to compute with. */
  readonly cores: number;
  /** Replicas to share them out to; by default as many as are fastest. */
  readonly workers: number | undefined;
  readonly clock: Clock;
  /** Hears what was chosen, or given. */
  readonly onArranged: (arrangement: Arrangement) => void;
}

/** Opens the replicas of a peer as one, at the base. @throws {Fault} whatever opening a replica refuses */
export async function openPool(
  spec: Omit<ReplicaSpec, 'threads'>,
  { cores, workers, clock, onArranged }: PoolOptions,
): Promise<NodeReplica> {
  // Blocks on a disk are moved by one replica at a time, or the disk is all that is waited for.
  const fixed = workers ?? (spec.offloadFolder === undefined ? undefined : 1);
  const given = fixed && { workers: fixed, threads: Math.max(1, Math.floor(cores / fixed)) };
  const freeMemory = freemem();
  const first = await threadedReplica({ ...spec, threads: given ? given.threads : cores });
  const opened: NodeReplica[] = [first];
  try {
    const arrangement = given || (await arrange(first, spec.manifest, cores, freeMemory, clock));
    const { threads } = arrangement;
    const others = Array.from({ length: arrangement.workers - 1 }, () => threadedReplica({ ...spec, threads }));
    for (const end of await Promise.allSettled(others)) if (end.status === 'fulfilled') opened.push(end.value);
    await Promise.all(others);
    onArranged(arrangement);
  } catch (refused) {
    for (const replica of opened) await replica.close();
    throw refused;
  }
  return opened.length === 1 ? first : poolReplica(opened);
}
