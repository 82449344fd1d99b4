/**
 * The other end of `replica-thread.ts`: opens the replica that `workerData` describes and answers calls by name.
 *
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import { adjustableEngine } from '../../engine/adjustable.ts';
import { nodeEngine } from '../../engine/node.ts';
import { withIdleWork } from '../idle.ts';
import { answerCalls } from '../replica-calls.ts';
import { gated } from './gate.ts';
import { openReplica } from './open-replica.ts';
import type { Start } from './replica-thread.ts';

const port = parentPort!;
const { spec, gate } = workerData as Start;
const engine = adjustableEngine((threads) => gated(gate, nodeEngine({ threads })), spec.threads);
const opening = openReplica(spec, engine).then((replica) => ({
  replica: { ...replica, adjust: engine.adjust },
  // Messages are received between two turns of the event loop.
  attend: withIdleWork(
    () => replica.settleOne(),
    () => new Promise((resolve) => setImmediate(resolve)),
  ),
}));
port.on(
  'message',
  answerCalls((message) => port.postMessage(message), opening),
);
