/**
 * A replica in a worker thread: ONNX Runtime blocks the thread that calls it, and the thread that answers the network
 * must never wait.
 *
 * @module
 */
import { Worker } from 'node:worker_threads';
// Before any worker starts: a worker's environment is a copy of what it was then.
import '../../engine/node-telemetry.ts';
import type { AdjustableEngine } from '../../engine/adjustable.ts';
import { Fault, type FaultCode } from '../../faults.ts';
import type { Exchanger } from '../replica.ts';
import { closeGate, closeGateNow, type Gate, openGate } from './gate.ts';
import type { NodeReplica, ReplicaSpec } from './open-replica.ts';

/** What a worker is started with. */
export interface Start {
  readonly spec: ReplicaSpec;
  readonly gate: Gate;
}

/** A replica whose engine may be given other threads between two calls. */
export interface ThreadedReplica extends NodeReplica {
  readonly adjust: AdjustableEngine['adjust'];
}

/** What it is asked. `close` is not among it: the thread is ended from here. */
type Method = Exclude<keyof ThreadedReplica, 'round' | 'close' | 'width' | 'exchange'> | keyof Exchanger;

export interface Call {
  readonly id: number;
  readonly name: Method;
  readonly args: readonly unknown[];
}

/** The answer to call `id`; 0 is the opening itself. */
export interface Answer {
  readonly id: number;
  readonly round: number;
  readonly value?: unknown;
  readonly refusal?: { readonly code: FaultCode; readonly message: string };
}

/** What call `id` asks back before it can go on: to write a piece of a snapshot, or to read one. */
export interface Question {
  readonly id: number;
  readonly question: number;
  readonly args: readonly unknown[];
}

/** The answer to a question. */
export interface Reply {
  readonly question: number;
  readonly value?: unknown;
  readonly refusal?: Answer['refusal'];
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  /** Answers the call's questions. */
  readonly serve: ((...args: readonly never[]) => Promise<unknown>) | undefined;
}

/** An error as another thread is told of it. */
export const refusalOf = (error: unknown): NonNullable<Answer['refusal']> =>
  error instanceof Fault
    ? { code: error.code, message: error.detail }
    : { code: 'INTERNAL', message: error instanceof Error ? (error.stack ?? error.message) : String(error) };

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
  const waiting = new Map<number, Waiting>();
  let rounds = 0;
  let calls = 0;
  let broken: Fault | undefined;

  const settle = (fault: Fault) => {
    broken ??= fault;
    for (const { reject } of waiting.values()) reject(broken);
    waiting.clear();
  };
  worker.on('message', (message: Answer | Question) => {
    if ('question' in message) void reply(message);
    else settleCall(message);
  });
  const reply = async ({ id, question, args }: Question): Promise<void> => {
    const serve = waiting.get(id)?.serve as ((...args: readonly unknown[]) => Promise<unknown>) | undefined;
    const answer = await serve?.(...args).then(
      (value) => ({ question, value }),
      (error) => ({ question, refusal: refusalOf(error) }),
    );
    worker.postMessage((answer ?? { question }) satisfies Reply);
  };
  const settleCall = ({ id, round, value, refusal }: Answer): void => {
    rounds = round;
    const call = waiting.get(id);
    waiting.delete(id);
    if (refusal) call?.reject(new Fault(refusal.code, refusal.message));
    else call?.resolve(value);
  };
  worker.on('error', (cause) =>
    settle(new Fault('ENGINE_FAILED', `the compute thread died: ${cause.message}`, { cause })),
  );
  worker.on('exit', () => {
    gates.delete(gate);
    settle(new Fault('ENGINE_FAILED', 'the compute thread has ended'));
  });

  const expectAnswer = <T>(id: number, serve?: Waiting['serve']): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (broken) reject(broken);
      else waiting.set(id, { resolve: resolve as (value: unknown) => void, reject, serve });
    });
  const serving = <T>(serve: Waiting['serve'], name: Method, ...args: readonly unknown[]): Promise<T> => {
    const answer = expectAnswer<T>(++calls, serve);
    worker.postMessage({ id: calls, name, args } satisfies Call);
    return answer;
  };
  const call = <T>(name: Method, ...args: readonly unknown[]): Promise<T> => serving<T>(undefined, name, ...args);

  /** At once, whatever it is at. */
  async function close(): Promise<void> {
    settle(new Fault('INTERRUPTED', 'the replica was closed'));
    await closeGate(gate);
    await worker.terminate();
  }

  try {
    await expectAnswer<void>(0);
  } catch (refused) {
    await close();
    throw refused;
  }
  return {
    round: () => rounds,
    apply: (...args) => call('apply', ...args),
    measure: (...args) => call('measure', ...args),
    evaluate: () => call('evaluate'),
    checksum: () => call('checksum'),
    root: () => call('root'),
    snapshot: (write) => serving(write, 'snapshot'),
    restore: (round, { name, size, read }, ...rest) => serving(read, 'restore', round, { name, size }, ...rest),
    slopes: (...args) => call('slopes', ...args),
    generate: (...args) => call('generate', ...args),
    classify: (...args) => call('classify', ...args),
    tensor: (...args) => call('tensor', ...args),
    adjust: (...args) => call('adjust', ...args),
    ...(spec.manifest.exchange && {
      exchange: {
        merge: (...args) => call('merge', ...args),
        train: (...args) => call('train', ...args),
        share: (...args) => call('share', ...args),
        reduce: (...args) => call('reduce', ...args),
        sizes: () => call('sizes'),
        memory: () => call('memory'),
        recall: (...args) => call('recall', ...args),
      },
    }),
    close,
  };
}
