/**
 * A replica in a worker of a browser: the twin of `node/replica-thread.ts`.
 *
 * @module
 */
import type { Backend } from '../../engine/backend.ts';
import { Fault } from '../../faults.ts';
import type { Manifest } from '../../nouns.ts';
import type { Replica } from '../replica.ts';
import { type Answer, askReplica, type Question } from '../replica-calls.ts';

/** What a worker is started with. */
export interface Start {
  readonly manifest: Manifest;
  readonly backend: Backend;
  readonly threads: number;
}

/** What the replica computes on. */
export interface Device {
  readonly backend: Backend;
  /** The GPU in words, or `none`. */
  readonly adapter: string;
  readonly threads: number;
}

/** Before it opens the replica, the worker says what it found. */
export interface Found {
  readonly device: Device;
}

/**
 * @param onDevice hears what it computes on, once that has passed its known-answer test.
 * @throws {Fault} ENGINE_FAILED where the device fails, and whatever opening the replica refuses
 */
export async function threadedReplica(start: Start, onDevice: (device: Device) => void): Promise<Replica> {
  const worker = new Worker(new URL('./replica-worker.ts', import.meta.url), {
    type: 'module',
    name: 'murmur replica',
  });
  const { replica, opened, hear, fail } = askReplica(
    (message) => worker.postMessage(message),
    start.manifest.exchange !== undefined,
  );
  worker.onmessage = ({ data }: MessageEvent<Found | Answer | Question>) => {
    if ('device' in data) onDevice(data.device);
    else hear(data);
  };
  worker.onerror = ({ message }) =>
    fail(new Fault('ENGINE_FAILED', `the compute thread died${message ? `: ${message}` : ''}`));
  worker.postMessage(start);

  async function close(): Promise<void> {
    fail(new Fault('INTERRUPTED', 'the replica was closed'));
    worker.terminate();
  }

  try {
    await opened;
  } catch (refused) {
    await close();
    throw refused;
  }
  return { ...replica, close };
}
