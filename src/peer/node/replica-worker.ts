/**
 * The other end of `replica-thread.ts`: opens the replica that `workerData` describes and answers calls by name.
 *
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import { nodeEngine } from '../../engine/node.ts';
import { Fault } from '../../faults.ts';
import { gated } from './gate.ts';
import { openReplica } from './open-replica.ts';
import type { Answer, Call, Start } from './replica-thread.ts';

const port = parentPort!;
const refusal = (error: unknown) =>
  error instanceof Fault
    ? { code: error.code, message: error.detail }
    : { code: 'INTERNAL' as const, message: error instanceof Error ? (error.stack ?? error.message) : String(error) };

const { spec, gate } = workerData as Start;
const opening = openReplica(spec, gated(gate, nodeEngine({ threads: spec.threads })));
opening.then(
  () => port.postMessage({ id: 0, round: 0, value: undefined } satisfies Answer),
  (error) => port.postMessage({ id: 0, round: 0, refusal: refusal(error) } satisfies Answer),
);

port.on('message', async ({ id, name, args }: Call) => {
  const replica = await opening;
  try {
    const value = await (replica[name] as (...args: readonly unknown[]) => Promise<unknown>)(...args);
    port.postMessage({ id, round: replica.round(), value } satisfies Answer);
  } catch (error) {
    port.postMessage({ id, round: replica.round(), refusal: refusal(error) } satisfies Answer);
  }
});
