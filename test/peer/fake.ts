/** A run without a model: clock, signatures and weights that are quick to compute and impossible to get right by luck. */
import { createHash } from 'node:crypto';
import { Fault } from '../../src/faults.ts';
import { type Journal, openJournal } from '../../src/journal/journal.ts';
import type { Manifest, Round } from '../../src/nouns.ts';
import { concatBytes, toHex } from '../../src/numeric/bytes.ts';
import type { Fetcher, SnapshotOffer } from '../../src/peer/fetcher.ts';
import { memoryStore } from '../../src/peer/memory-store.ts';
import type { Replica } from '../../src/peer/replica.ts';
import type { Clock, Crypto, Store } from '../../src/ports.ts';

const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

/** As of a tensor with one leaf. */
const leafOf = (bytes: Uint8Array): Uint8Array => sha256(Uint8Array.of(0), bytes);

/** Ed25519's shape at a hundredth of its cost. Who knows a public key can forge: no test here has such a liar. */
export const fakeCrypto: Crypto = {
  sha256,
  publicKey: (secret) => sha256(Uint8Array.of(1), secret),
  sign: (secret, message) => fakeSign(fakeCrypto.publicKey(secret), message),
  verify: (key, message, signature) => toHex(fakeSign(key, message)) === toHex(signature),
};
const fakeSign = (key: Uint8Array, message: Uint8Array): Uint8Array => {
  const half = sha256(key, message);
  return concatBytes(half, half);
};

export const secretOf = (number: number): Uint8Array => new Uint8Array(32).fill(number + 1);
export const HOST_SECRET: Uint8Array = new Uint8Array(32).fill(255);

/** mulberry32: a seeded source of numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const entropyOf =
  (random: () => number) =>
  (bytes: number): Uint8Array =>
    Uint8Array.from({ length: bytes }, () => Math.floor(random() * 256));

/** Time that passes when it is told to. */
export interface FakeClock extends Clock {
  /** Lets everything happen that is due within `ms`, in order, and all that follows from it. */
  advance(ms: number): Promise<void>;
  /** Until `done`, or until `limit` ms have passed. @returns whether it was done. */
  until(done: () => boolean, limit: number): Promise<boolean>;
}

/** Promise reactions run to their end before this resolves. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function fakeClock(): FakeClock {
  let now = 0;
  let ids = 0;
  const timers = new Map<number, { at: number; callback: () => void }>();
  /** The earliest; of equals, the one that was set first. */
  const next = (): [number, { at: number; callback: () => void }] | undefined => {
    let first: [number, { at: number; callback: () => void }] | undefined;
    for (const timer of timers) if (first === undefined || timer[1].at < first[1].at) first = timer;
    return first;
  };
  async function step(end: number): Promise<boolean> {
    const timer = next();
    if (timer === undefined || timer[1].at > end) return false;
    timers.delete(timer[0]);
    now = Math.max(now, timer[1].at);
    timer[1].callback();
    await settle();
    return true;
  }
  return {
    now: () => now,
    after(ms, callback) {
      const id = ids++;
      // As real timers: early by a fraction of a millisecond now and then, and never at once.
      timers.set(id, { at: now + Math.max(0.1, ms - 0.4), callback });
      return () => timers.delete(id);
    },
    async advance(ms) {
      const end = now + ms;
      await settle();
      while (await step(end));
      now = end;
    },
    async until(done, limit) {
      const end = now + limit;
      await settle();
      while (!done()) if (!(await step(end))) return false;
      return true;
    },
  };
}

export const MANIFEST: Manifest = {
  format: 1,
  numbers: 1,
  base: { name: 'fake', files: [{ path: 'model.safetensors', bytes: 3, sha256: '11'.repeat(32) }] },
  view: 'full',
  method: 'onebyte',
  direction: { kind: 'lowrank', rank: 1, scale: 1 },
  eps: 1e-3,
  learning_rate: 0.01,
  lr_scheduler_type: 'linear',
  warmup_steps: 2,
  max_steps: 10,
  reduction: 'mean',
  records_per_round: 32,
  samples_per_record: 1,
  initial_scale: 1000,
  clip: 127,
  task: { kind: 'lm', window: 8 },
  data: { train: { path: 'train.txt', bytes: 3, sha256: '22'.repeat(32) }, eval_fraction: 0.1 },
  seed: 0,
  forward_precision: 'f32',
  coordinator: toHex(fakeCrypto.publicKey(HOST_SECRET)),
};

export async function begunJournal(
  manifest: Manifest = MANIFEST,
  crypto: Crypto = fakeCrypto,
  store: Store = memoryStore(),
): Promise<Journal> {
  const journal = await openJournal(store, crypto, HOST_SECRET);
  if (journal.position.state === null) await journal.append({ type: 'manifest', manifest });
  return journal;
}

const mix = (a: number, b: number): number => {
  let h = Math.imul(a ^ b ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) | 0;
};

export interface FakeReplica extends Replica {
  /** A bit flips where nobody looks. */
  corrupt(): void;
}

/**
 * Eight integers instead of weights. What is measured depends on all of them and what is applied on all codes, so any
 * difference spreads at once.
 */
export function fakeReplica(clock: Clock, msPerRecord = 1): FakeReplica {
  const q = new Int32Array(8);
  let rounds = 0;
  let closed = false;
  const wait = (ms: number): Promise<void> =>
    ms === 0 ? Promise.resolve() : new Promise((resolve) => clock.after(ms, resolve));
  const use = (): void => {
    if (closed) throw new Fault('INTERNAL', 'the replica was used after it was closed');
  };
  const bytes = (): Uint8Array => new Uint8Array(q.buffer.slice(0));
  const move = ({ header, segments }: Round, sign: 1 | -1): void => {
    for (const { from, codes } of segments)
      codes.forEach((code, i) => {
        const element = (from + i) % q.length;
        q[element]! += sign * Math.imul(code * header.scale, mix(header.round, from + i));
      });
  };
  return {
    round: () => rounds,
    async apply(committed: readonly Round[]) {
      use();
      for (const round of committed) {
        const { header } = round;
        if (header.round !== rounds) throw new Fault('JOURNAL_ORDER', `round ${header.round} after ${rounds} rounds`);
        move(round, 1);
        rounds++;
      }
    },
    async revise({ was, now }) {
      use();
      for (const round of was) move(round, -1);
      for (const round of now) move(round, 1);
      rounds += now.length - was.length;
    },
    async measure(header, from, count) {
      use();
      if (header.round !== rounds) throw new RangeError(`"header.round" expected ${rounds}, got ${header.round}`);
      const whole = q.reduce(mix, 7);
      await wait(count * msPerRecord);
      return Int8Array.from({ length: count }, (_, i) => (mix(mix(whole, header.round), from + i) % 127) | 0);
    },
    async evaluate() {
      use();
      return { 'eval/loss': Math.abs(q.reduce(mix, 3)) / 2 ** 31 };
    },
    async checksum() {
      use();
      return sha256(bytes()).slice(0, 8);
    },
    async root() {
      use();
      return leafOf(bytes());
    },
    leaves: async () => [{ hash: leafOf(bytes()), bytes: 32 }],
    snapshot: (write) => write(bytes()),
    async restore(round, source, root) {
      const snapshot = await source.read(0, source.size);
      if (toHex(leafOf(snapshot)) !== toHex(root)) throw new Fault('BLOB_MISMATCH', 'the snapshot is another');
      q.set(new Int32Array(snapshot.slice().buffer));
      rounds = round;
    },
    async close() {
      closed = true;
    },
    corrupt() {
      q[3]! ^= 1;
    },
  };
}

/** Fetches from a journal in this process. */
export function journalFetcher(
  journal: () => Pick<Journal, 'read'> | undefined,
  snapshot?: () => SnapshotOffer,
): Fetcher {
  return {
    async journal(from) {
      const bytes = await journal()?.read();
      if (bytes === undefined) throw new Fault('HOST_UNREACHABLE', 'the host is not there');
      if (from > bytes.length) throw new Fault('JOURNAL_FORKED', 'the journal has become shorter');
      return bytes.slice(from);
    },
    blob: async () => new Uint8Array(0),
    snapshot: async () => snapshot?.(),
  };
}
