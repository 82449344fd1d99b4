/**
 * A replica in this thread: a learner, and how many rounds its weights have seen.
 *
 * @module
 */

import { checksum, leaves, root } from '../apply/digest.ts';
import { Fault } from '../faults.ts';
import { applyCommitted, type Learner, measureRecords, memoryOf } from '../method/onebyte.ts';
import { reviseCommitted } from '../method/revise.ts';
import type { Example } from '../nouns.ts';
import { promisesOf } from '../optimizer/algebra.ts';
import { checkRecent, windowOf } from '../optimizer/steps.ts';
import type { Crypto } from '../ports.ts';
import { evaluate } from './evaluate.ts';
import type { Replica } from './replica.ts';
import { takeSnapshot, writeSnapshot } from './snapshot.ts';

/** Records owed to the weights at most: enough to be added in one pass, a few megabytes. */
const MOST_OWED = 16_384;

/** One call at a time, in order; a call that failed does not stop the next. */
export type InTurn = <T>(call: () => T | Promise<T>) => Promise<T>;

export function inTurn(): InTurn {
  let last: Promise<unknown> = Promise.resolve();
  return (call) => {
    const result = last.then(call);
    last = result.catch(() => undefined);
    return result;
  };
}

/** A replica whose thread may do, between two calls, what would otherwise be done in the next one. */
export interface LocalReplica extends Replica {
  /** Pays what is owed to one more page of the weights. @returns false when there was none. */
  settleOne(): Promise<boolean>;
}

/** @param held examples to evaluate on. @param turn of everything else that uses the learner. */
export function localReplica(
  learner: Learner,
  held: readonly Example[],
  crypto: Crypto,
  turn: InTurn = inTurn(),
): LocalReplica {
  const { weights, manifest } = learner;
  let memory = memoryOf();
  const { directions } = manifest;
  /** Whether the run has so few directions that what is owed along each can be added up. */
  const pooled = directions !== undefined && 'pool' in directions && directions.pool < MOST_OWED;
  let rounds = 0;
  let owed = 0;

  /** A replay looks at nothing for a long time, and what is owed takes memory. */
  async function payDebts(records: number): Promise<void> {
    owed += records;
    if (owed <= MOST_OWED) return;
    if (pooled) await weights.gather();
    else while (await weights.settleOne());
    owed = 0;
  }

  return {
    round: () => rounds,
    apply: (committed) =>
      turn(async () => {
        for (const round of committed) {
          if (round.header.round !== rounds)
            throw new Fault('JOURNAL_ORDER', `round ${round.header.round} cannot follow ${rounds} rounds`);
          await applyCommitted(learner, round, memory);
          rounds++;
          await payDebts(round.header.usable * windowOf(manifest));
        }
      }),
    revise: (revision) =>
      turn(async () => {
        const { was, now } = revision;
        const first = rounds - was.length;
        if (was[0]?.header.round !== first || now.length > was.length)
          throw new RangeError(`"revision" expected the last of ${rounds} rounds, got ${was.length} from another`);
        await reviseCommitted(learner, revision, memory, payDebts);
        rounds = first + now.length;
      }),
    measure: (header, from, count) =>
      turn(() => {
        if (header.round !== rounds)
          throw new RangeError(`"header.round" expected ${rounds}, the weights' round, got ${header.round}`);
        return measureRecords(learner, header, from, count);
      }),
    evaluate: () => turn(() => evaluate(learner, held)),
    checksum: () => turn(() => checksum(weights, rounds, learner.run)),
    root: () => turn(() => root(weights, crypto)),
    leaves: () => turn(() => leaves(weights, crypto)),
    settleOne: () => turn(() => weights.settleOne()),
    snapshot: (write) => turn(() => writeSnapshot(weights, write)),
    restore: (round, snapshot, expected, recent = [], of) =>
      turn(async () => {
        const { holds, why } = promisesOf(manifest).snapshots;
        if (!holds) throw new Fault('CONFIG_INVALID', `optimizer ${manifest.optimizer?.kind}: no snapshots: ${why}`);
        checkRecent(manifest, recent, round);
        await takeSnapshot(weights, crypto, snapshot, round, expected, of);
        memory = memoryOf(recent);
        rounds = round;
      }),
    close: () =>
      turn(async () => {
        await learner.forward.release();
        await learner.tangent?.release();
        await weights.close();
      }),
  };
}
