/**
 * A replica in a worker thread: ONNX Runtime blocks the thread that calls it, and the thread that answers the network
 * must never wait.
 *
 * @module
 */
import { Worker } from 'node:worker_threads';
// Before any worker starts: a worker's environment is a copy of what it was then.
import '../../engine/node-telemetry.ts';
import { Fault } from '../../faults.ts';
import { askReplica, type ThreadedReplica } from '../replica-calls.ts';
import { closeGate, closeGateNow, type Gate, openGate } from './gate.ts';
import type { ReplicaSpec } from './open-replica.ts';

/** What a worker is started with. */
export interface Start {
  readonly spec: ReplicaSpec;
  readonly gate: Gate;
}

/** Gates of the workers that live. */
const gates = new Set<Gate>();
process.on('exit', () => gates.forEach(closeGateNow));

/** @param script of the worker. @throws {Fault} whatever opening the replica refuses */
export async function threadedReplica(
  spec: ReplicaSpec,
  script: URL = new URL('./replica-worker.js', import.meta.url),
): Promise<ThreadedReplica> {
  const gate = openGate();
  const worker = new Worker(script, { workerData: { spec, gate } satisfies Start });
  gates.add(gate);
  const { replica, opened, hear, fail } = askReplica(
    (message) => worker.postMessage(message),
    spec.manifest.exchange !== undefined,
  );
  worker.on('message', hear);
  worker.on('error', (cause) =>
    fail(new Fault('ENGINE_FAILED', `the compute thread died: ${cause.message}`, { cause })),
  );
  worker.on('exit', () => {
    gates.delete(gate);
    fail(new Fault('ENGINE_FAILED', 'the compute thread has ended'));
  });

  /** At once, whatever it is at. */
  async function close(): Promise<void> {
    fail(new Fault('INTERRUPTED', 'the replica was closed'));
    await closeGate(gate);
    await worker.terminate();
  }

  try {
    await opened;
  } catch (refused) {
    await close();
    throw refused;
  }
  return { ...replica, close };
}
