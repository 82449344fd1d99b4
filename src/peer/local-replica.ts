/**
 * A replica in this thread: a learner, and how many rounds its weights have seen. Calls run one after the other.
 *
 * @module
 */

import { checksum, root } from '../apply/digest.ts';
import { batchExamples } from '../data/batch.ts';
import { Fault } from '../faults.ts';
import { applyCommitted, type Learner, measureRecords } from '../method/onebyte.ts';
import type { Example } from '../nouns.ts';
import { predictions, sequenceLosses } from '../objective/loss.ts';
import type { Crypto } from '../ports.ts';
import type { Replica } from './replica.ts';

/** Held-out loss (mean over samples) and, for a choice, accuracy of the weights as they are. */
export async function evaluate(learner: Learner, examples: readonly Example[]): Promise<Record<string, number>> {
  const { manifest, forward, choices } = learner;
  const { task } = manifest;
  if (examples.length === 0)
    throw new Fault('FILE_MISSING', 'the held-out data of the run is not on this machine; give it');
  const batches = batchExamples(examples, learner.positions);
  const head = task.kind === 'lm' ? ({ kind: 'lm' } as const) : ({ kind: 'choice', choices: choices.length } as const);
  const [outputs] = await forward.run(batches, head, { kind: 'none' }, choices);
  let loss = 0;
  let right = 0;
  for (const [i, batch] of batches.entries()) {
    const losses = sequenceLosses(task, batch, outputs![i]!);
    const classes = task.kind === 'choice' ? predictions(task, batch, outputs![i]!) : undefined;
    batch.members.forEach((member, s) => {
      if (member < 0) return;
      loss += losses[s]!;
      if (classes?.[s] === batch.targets[s * batch.scored]) right++;
    });
  }
  const metrics: Record<string, number> = { 'eval/loss': loss / examples.length };
  if (task.kind === 'choice') metrics['eval/accuracy'] = right / examples.length;
  return metrics;
}

/** @param held examples to evaluate on. */
export function localReplica(learner: Learner, held: readonly Example[], crypto: Crypto): Replica {
  const { weights, run } = learner;
  let rounds = 0;
  let last: Promise<unknown> = Promise.resolve();
  /** One call at a time, in order; a call that failed does not stop the next. */
  const inTurn = <T>(call: () => T | Promise<T>): Promise<T> => {
    const result = last.then(call);
    last = result.catch(() => undefined);
    return result;
  };
  return {
    round: () => rounds,
    apply: (committed) =>
      inTurn(() => {
        for (const round of committed) {
          if (round.header.round !== rounds)
            throw new Fault('JOURNAL_ORDER', `round ${round.header.round} does not follow round ${rounds - 1}`);
          applyCommitted(learner, round);
          rounds++;
        }
      }),
    measure: (header, from, count) =>
      inTurn(() => {
        if (header.round !== rounds)
          throw new RangeError(`"header.round" expected ${rounds}, the weights' round, got ${header.round}`);
        return measureRecords(learner, header, from, count);
      }),
    evaluate: () => inTurn(() => evaluate(learner, held)),
    checksum: () => inTurn(() => checksum(weights, rounds, run)),
    root: () => inTurn(() => root(weights, crypto)),
    snapshot: () => inTurn(() => snapshotOf(weights.tensors)),
    restore: (round, snapshot, expected) =>
      inTurn(() => {
        const before = snapshotOf(weights.tensors);
        writeSnapshot(weights.tensors, snapshot);
        const got = root(weights, crypto);
        if (got.some((byte, i) => byte !== expected[i])) {
          writeSnapshot(weights.tensors, before);
          throw new Fault('BLOB_MISMATCH', `the snapshot of round ${round} does not have the root that was signed`);
        }
        rounds = round;
      }),
    close: () => inTurn(() => learner.forward.release()),
  };
}

function snapshotOf(tensors: readonly { readonly q: Int32Array }[]): Uint8Array {
  const bytes = new Uint8Array(tensors.reduce((sum, { q }) => sum + q.byteLength, 0));
  let at = 0;
  for (const { q } of tensors) {
    bytes.set(new Uint8Array(q.buffer, q.byteOffset, q.byteLength), at);
    at += q.byteLength;
  }
  return bytes;
}

function writeSnapshot(tensors: readonly { readonly q: Int32Array }[], bytes: Uint8Array): void {
  const length = tensors.reduce((sum, { q }) => sum + q.byteLength, 0);
  if (bytes.length !== length)
    throw new Fault('BLOB_MISMATCH', `the snapshot holds ${bytes.length} bytes, the weights are ${length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  for (const { q } of tensors) for (let i = 0; i < q.length; i++, at += 4) q[i] = view.getInt32(at, true);
}
