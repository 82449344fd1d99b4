/**
 * The other end of `replica-thread.ts`: opens the replica that `workerData` describes and answers calls by name.
 *
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import { adjustableEngine } from '../../engine/adjustable.ts';
import { nodeEngine } from '../../engine/node.ts';
import { Fault } from '../../faults.ts';
import { gated } from './gate.ts';
import { withIdleWork } from './idle.ts';
import { openReplica } from './open-replica.ts';
import { type Answer, type Call, type Question, type Reply, refusalOf, type Start } from './replica-thread.ts';

const port = parentPort!;
/** Questions that calls in progress have put, by number. */
const open = new Map<number, { resolve(value: unknown): void; reject(error: Fault): void }>();
let questions = 0;

type Ask = (...args: readonly unknown[]) => Promise<never>;

/** Functions do not cross threads: what a method would call there, it asks for. */
const askOf =
  (id: number): Ask =>
  (...args) =>
    new Promise((resolve, reject) => {
      open.set(++questions, { resolve: resolve as (value: unknown) => void, reject });
      port.postMessage({ id, question: questions, args } satisfies Question);
    });

/** The arguments of methods that take functions. */
const ARGUMENTS: Partial<Record<Call['name'], (ask: Ask, args: readonly unknown[]) => readonly unknown[]>> = {
  snapshot: (ask) => [ask],
  restore: (ask, [round, source, ...rest]) => [round, { ...(source as object), read: ask }, ...rest],
};

const { spec, gate } = workerData as Start;
const engine = adjustableEngine((threads) => gated(gate, nodeEngine({ threads })), spec.threads);
const opening = openReplica(spec, engine).then((replica) => ({
  replica: { ...replica, adjust: engine.adjust },
  attend: withIdleWork(() => replica.settleOne()),
}));
opening.then(
  () => port.postMessage({ id: 0, round: 0, value: undefined } satisfies Answer),
  (error) => port.postMessage({ id: 0, round: 0, refusal: refusalOf(error) } satisfies Answer),
);

port.on('message', async (message: Call | Reply) => {
  if ('question' in message) {
    const { question, value, refusal } = message;
    const asker = open.get(question);
    open.delete(question);
    if (refusal) asker?.reject(new Fault(refusal.code, refusal.message));
    else asker?.resolve(value);
    return;
  }
  const { id, name, args } = message;
  const { replica, attend } = await opening;
  try {
    const own = ARGUMENTS[name]?.(askOf(id), args) ?? args;
    const call = { ...replica, ...replica.exchange }[name] as (...args: readonly unknown[]) => Promise<unknown>;
    const value = await attend(() => call(...own));
    port.postMessage({ id, round: replica.round(), value } satisfies Answer);
  } catch (error) {
    port.postMessage({ id, round: replica.round(), refusal: refusalOf(error) } satisfies Answer);
  }
});
