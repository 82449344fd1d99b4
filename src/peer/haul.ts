/**
 * Chunks over one channel, both ways. Whoever lacks some asks for a few at a time and asks on as they come: the receiver
 * sets the pace, so nothing piles up, and a chunk that nobody asked for is an offence. What is asked for may be gone by
 * then, as its round is: the answer says so.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { ChunkMessage } from '../nouns.ts';
import { fromHex, toHex } from '../numeric/bytes.ts';
import type { ChunkStore, Compressor, Crypto } from '../ports.ts';
import { pack, unpack } from '../wire/chunks.ts';
import { MAX_WANTED } from '../wire/limits.ts';

export interface HaulOptions {
  /** What is here, and where what comes is put. */
  readonly store: ChunkStore;
  readonly compressor: Compressor;
  readonly crypto: Pick<Crypto, 'sha256'>;
  readonly send: (message: ChunkMessage) => void;
  /** Chunks as they were sent, by hash: hauls that give the same to many share it. */
  readonly packed?: Map<string, Uint8Array>;
}

/** In place of a packed chunk, which has a byte at least. */
const GONE = new Uint8Array(0);
/** Chunks that are kept packed: those of a merge of some millions of weights, a few megabytes. */
const MOST_PACKED = 64;

export interface Haul {
  /** Resolves when all of these are in the store. @throws {Fault} what `end` was given; FILE_MISSING where one is gone */
  collect(hashes: readonly Uint8Array[]): Promise<void>;
  /** A message of the other side. @throws {Fault} MESSAGE_UNEXPECTED, SHARE_INVALID, BLOB_MISMATCH */
  hear(message: ChunkMessage): Promise<void>;
  /** The channel is gone: what is waited for will not come. */
  end(fault: Fault): void;
}

interface Waiter {
  readonly left: Set<string>;
  resolve(): void;
  reject(fault: Fault): void;
}

export function openHaul({ store, compressor, crypto, send, packed = new Map() }: HaulOptions): Haul {
  /** Not asked for yet, in order. */
  const queue: string[] = [];
  /** Asked for. */
  const underway = new Set<string>();
  const waiters = new Set<Waiter>();
  let ended: Fault | undefined;

  function ask(): void {
    const next = queue.splice(0, MAX_WANTED - underway.size);
    if (next.length === 0) return;
    for (const hash of next) underway.add(hash);
    send({ type: 'want', hashes: next.map(fromHex) });
  }

  function arrived(hash: string): void {
    for (const waiter of waiters) {
      waiter.left.delete(hash);
      if (waiter.left.size > 0) continue;
      waiters.delete(waiter);
      waiter.resolve();
    }
  }

  function lost(hash: string): void {
    for (const waiter of waiters) {
      if (!waiter.left.has(hash)) continue;
      waiters.delete(waiter);
      waiter.reject(new Fault('FILE_MISSING', `chunk ${hash.slice(0, 16)}… is not with the other side any more`));
    }
  }

  async function give(hash: Uint8Array): Promise<void> {
    const name = toHex(hash);
    const known = packed.get(name);
    const bytes = known ? undefined : await store.get(name);
    if (known === undefined && bytes === undefined) {
      send({ type: 'chunk', hash, packed: GONE });
      return;
    }
    const made = known ?? pack(bytes!, compressor);
    packed.set(name, made);
    if (packed.size > MOST_PACKED) packed.delete(packed.keys().next().value!);
    send({ type: 'chunk', hash, packed: made });
  }

  async function take(hash: string, body: Uint8Array): Promise<void> {
    if (!underway.has(hash)) throw new Fault('MESSAGE_UNEXPECTED', `nobody asked for chunk ${hash.slice(0, 16)}…`);
    if (body.length === 0) {
      underway.delete(hash);
      ask();
      lost(hash);
      return;
    }
    const bytes = unpack(body, compressor);
    if (toHex(crypto.sha256(bytes)) !== hash)
      throw new Fault('BLOB_MISMATCH', `chunk ${hash.slice(0, 16)}… came damaged`);
    await store.put(hash, bytes);
    underway.delete(hash);
    ask();
    arrived(hash);
  }

  return {
    collect(hashes) {
      if (ended) return Promise.reject(ended);
      const left = new Set(hashes.map(toHex).filter((hash) => !store.has(hash)));
      if (left.size === 0) return Promise.resolve();
      const done = new Promise<void>((resolve, reject) => waiters.add({ left, resolve, reject }));
      queue.push(...[...left].filter((hash) => !underway.has(hash) && !queue.includes(hash)));
      ask();
      return done;
    },
    async hear(message) {
      if (message.type === 'chunk') await take(toHex(message.hash), message.packed);
      else for (const hash of message.hashes) await give(hash);
    },
    end(fault) {
      ended = fault;
      for (const { reject } of waiters) reject(fault);
      waiters.clear();
    },
  };
}

/** Chunks in memory, for as long as whoever put them there wants them. */
export function memoryChunks(): ChunkStore {
  const chunks = new Map<string, Uint8Array>();
  return {
    get: async (hash) => chunks.get(hash),
    has: (hash) => chunks.has(hash),
    async put(hash, bytes) {
      chunks.set(hash, bytes.slice());
    },
    async drop(hash) {
      chunks.delete(hash);
    },
    sync: async () => undefined,
  };
}
