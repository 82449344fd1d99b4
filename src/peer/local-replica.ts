/**
 * A replica in this thread: a learner, and how many rounds its weights have seen.
 *
 * @module
 */

import { lookAtAll } from '../apply/apply.ts';
import { checksum, leaves, root } from '../apply/digest.ts';
import { openTally, oweSums, type Tally, tallied } from '../apply/sums.ts';
import { Fault } from '../faults.ts';
import { applyCommitted, type Learner, measureRecords, memoryOf } from '../method/onebyte.ts';
import { reviseCommitted } from '../method/revise.ts';
import { elementsOf } from '../model/weights.ts';
import type { Example, Round } from '../nouns.ts';
import { equalBytes } from '../numeric/bytes.ts';
import { poolOf } from '../numeric/names.ts';
import { promisesOf } from '../optimizer/algebra.ts';
import { checkRecent, windowOf } from '../optimizer/steps.ts';
import type { Crypto } from '../ports.ts';
import { evaluate } from './evaluate.ts';
import type { Replica } from './replica.ts';
import { asIntegers, takeSnapshot, writeSnapshot } from './snapshot.ts';
import { areSumsWorth } from './snapshot-pace.ts';

/** Records owed to the weights at most: enough to be added in one pass, a few megabytes. */
const MOST_OWED = 16_384;

/** Rounds that are added up at a time. */
const FOLDED = 64;

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
  const { weights, manifest, view, run } = learner;
  let memory = memoryOf();
  const pool = poolOf(manifest.directions);
  /** Whether the run has so few directions that what is owed along each can be added up. */
  const pooled = pool !== undefined && pool < MOST_OWED;
  const compact =
    pool !== undefined && areSumsWorth(pool, manifest.direction, view.length, elementsOf(weights.tensors));
  /** Of all rounds so far, once somebody wants them. */
  let tally: Tally | undefined;
  const counted: Learner = {
    ...learner,
    weights: {
      ...weights,
      owe(debt) {
        weights.owe(debt);
        tally?.add(debt);
      },
    },
  };
  let rounds = 0;
  let owed = 0;

  /** A replay looks at nothing for a long time, and what is owed takes memory. */
  async function payDebts(records: number): Promise<void> {
    owed += records;
    if (owed <= MOST_OWED) return;
    await tally?.fold();
    if (pooled) await weights.gather();
    else while (await weights.settleOne());
    owed = 0;
  }

  /** @param all rounds so far. @returns undefined if they are others than the weights hold: some were taken back just now */
  async function tallyOf(all: readonly Round[]): Promise<Tally | undefined> {
    if (all.length !== rounds) return undefined;
    const made = openTally(weights, view, pool!);
    const before = memoryOf();
    for (const [i, round] of all.entries()) {
      await applyCommitted({ ...learner, weights: tallied(weights, made) }, round, before);
      if (i % FOLDED === FOLDED - 1) await made.fold();
    }
    return made;
  }

  return {
    round: () => rounds,
    apply: (committed) =>
      turn(async () => {
        for (const round of committed) {
          if (round.header.round !== rounds)
            throw new Fault('JOURNAL_ORDER', `round ${round.header.round} cannot follow ${rounds} rounds`);
          await applyCommitted(counted, round, memory);
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
        tally = undefined; // the journal says what is left
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
        tally = undefined;
        await takeSnapshot(weights, crypto, snapshot, round, expected, of);
        memory = memoryOf(recent);
        rounds = round;
      }),
    sums: (asked) =>
      turn(async () => {
        if (!compact || !promisesOf(manifest).snapshots.holds) return undefined;
        tally ??= await tallyOf(await asked());
        await tally?.fold();
        return tally && new Uint8Array(tally.sums.slice().buffer);
      }),
    compose: (round, bytes, expected, recent = []) =>
      turn(async () => {
        if (rounds !== 0) throw new RangeError(`"compose" expected the base, got ${rounds} rounds`);
        checkRecent(manifest, recent, round);
        if (pool === undefined || bytes.length !== 4 * pool * view.length)
          throw new Fault(
            'BLOB_MISMATCH',
            `the sums of round ${round} are ${bytes.length} bytes, of another run's shape`,
          );
        const sums = asIntegers(bytes);
        const owe = (sign: 1 | -1): void => oweSums(weights, manifest.direction, run, view, sums, sign);
        owe(1);
        if (!equalBytes(await root(weights, crypto), expected)) {
          owe(-1);
          throw new Fault('BLOB_MISMATCH', `the sums of round ${round} do not lead to the root that was signed`);
        }
        await lookAtAll(weights);
        tally = undefined;
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
