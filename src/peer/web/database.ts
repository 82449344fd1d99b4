/**
 * What a browser keeps for Murmur, in one IndexedDB of the page's origin: keys of peers, files in pieces, snapshots, and
 * what peers of exchanges remember. Unlike the file system of an origin it is there on plain http too.
 *
 * @module
 */
import { Fault } from '../../faults.ts';

const NAME = 'murmur';
const VERSION = 1;

/** `pieces` are keyed by [name of a whole, byte at which the piece begins]; the others by name. */
export type Store = 'keys' | 'pieces' | 'wholes' | 'snapshots' | 'memories';
const STORES: readonly Store[] = ['keys', 'pieces', 'wholes', 'snapshots', 'memories'];

export interface Database {
  get<T>(store: Store, key: IDBValidKey): Promise<T | undefined>;
  /** All between two keys, both included, by key. */
  between<T>(store: Store, first: IDBValidKey, last: IDBValidKey): Promise<readonly (readonly [IDBValidKey, T])[]>;
  /** The last at a key or before it. */
  before<T>(store: Store, first: IDBValidKey, key: IDBValidKey): Promise<readonly [IDBValidKey, T] | undefined>;
  /** Resolves when it is stored. @throws {Fault} FILE_REFUSED where the browser has no room */
  put(store: Store, key: IDBValidKey, value: unknown): Promise<void>;
  drop(store: Store, first: IDBValidKey, last: IDBValidKey): Promise<void>;
  close(): void;
}

const refusal = (cause: unknown): Fault => {
  const isFull = cause instanceof DOMException && cause.name === 'QuotaExceededError';
  const detail = isFull
    ? 'the browser has no room left for this page; free some, or join from Node'
    : `the browser does not let this page keep anything (${String(cause)}); leave the private window, or join from Node`;
  return new Fault('FILE_REFUSED', detail, { cause });
};

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(refusal(request.error));
  });

/** @throws {Fault} FILE_REFUSED */
export async function openDatabase(): Promise<Database> {
  const opening = indexedDB.open(NAME, VERSION);
  opening.onupgradeneeded = () => {
    for (const store of STORES) opening.result.createObjectStore(store);
  };
  const db = await settled(opening);

  const reading = (store: Store): IDBObjectStore => db.transaction(store).objectStore(store);
  const writing = (store: Store, change: (on: IDBObjectStore) => void): Promise<void> =>
    new Promise((resolve, reject) => {
      const transaction = db.transaction(store, 'readwrite', { durability: 'strict' });
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(refusal(transaction.error));
      change(transaction.objectStore(store));
    });

  return {
    get: (store, key) => settled(reading(store).get(key)),
    async between<T>(store: Store, first: IDBValidKey, last: IDBValidKey) {
      const range = IDBKeyRange.bound(first, last);
      const on = reading(store);
      const [keys, values] = await Promise.all([settled(on.getAllKeys(range)), settled(on.getAll(range))]);
      return keys.map((key, i) => [key, values[i] as T] as const);
    },
    async before<T>(store: Store, first: IDBValidKey, key: IDBValidKey) {
      const cursor = await settled(reading(store).openCursor(IDBKeyRange.bound(first, key), 'prev'));
      return cursor === null ? undefined : ([cursor.key, cursor.value as T] as const);
    },
    put: (store, key, value) => writing(store, (on) => on.put(value, key)),
    drop: (store, first, last) => writing(store, (on) => on.delete(IDBKeyRange.bound(first, last))),
    close: () => db.close(),
  };
}
