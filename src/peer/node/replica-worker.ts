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
import type { Answer, Call, Start } from './replica-thread.ts';

const port = parentPort!;
const refusal = (error: unknown) =>
  error instanceof Fault
    ? { code: error.code, message: error.detail }
    : { code: 'INTERNAL' as const, message: error instanceof Error ? (error.stack ?? error.message) : String(error) };

const { spec, gate } = workerData as Start;
const engine = adjustableEngine((threads) => gated(gate, nodeEngine({ threads })), spec.threads);
const opening = openReplica(spec, engine).then((replica) => ({
  replica: { ...replica, adjust: engine.adjust },
  attend: withIdleWork(() => replica.settleOne()),
}));
opening.then(
  () => port.postMessage({ id: 0, round: 0, value: undefined } satisfies Answer),
  (error) => port.postMessage({ id: 0, round: 0, refusal: refusal(error) } satisfies Answer),
);

port.on('message', async ({ id, name, args }: Call) => {
  const { replica, attend } = await opening;
  try {
    const call = replica[name] as (...args: readonly unknown[]) => Promise<unknown>;
    const value = await attend(() => call(...args));
    port.postMessage({ id, round: replica.round(), value } satisfies Answer);
  } catch (error) {
    port.postMessage({ id, round: replica.round(), refusal: refusal(error) } satisfies Answer);
  }
});
