/**
 * A store in memory that can lose its power: the model of what a disk may do.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { concatBytes } from '../numeric/bytes.ts';
import type { Store } from '../ports.ts';

export interface MemoryStore extends Store {
  /**
   * Ends this store and returns what is found after the power comes back: everything synced, and the first `kept`
   * bytes of what was not.
   */
  crash(kept?: number): MemoryStore;
}

export function memoryStore(initial: Uint8Array = new Uint8Array(0)): MemoryStore {
  let bytes: Uint8Array = initial.slice();
  let synced = bytes.length;
  let open = true;
  const name = 'memory';

  /** Asynchronous, as a disk is: whoever forgets to wait is found out. */
  const run = async <T>(work: () => T): Promise<T> => {
    await Promise.resolve();
    if (!open) throw new Fault('INTERNAL', `${name}: the store is closed`);
    return work();
  };

  return {
    name,
    read: () => run(() => bytes.slice()),
    append: (more) =>
      run(() => {
        bytes = concatBytes(bytes, more);
      }),
    sync: () =>
      run(() => {
        synced = bytes.length;
      }),
    truncate: (length) =>
      run(() => {
        bytes = bytes.slice(0, length);
        synced = Math.min(synced, length);
      }),
    async close() {
      open = false;
    },
    crash(kept = 0) {
      open = false;
      return memoryStore(bytes.subarray(0, synced + kept));
    },
  };
}
