/**
 * The stream of a run as a log with one writer at a time. A writer begins with a fence; every message says which one it
 * follows, so the first message of a writer that was overtaken is refused by the stream, and nothing of it is kept.
 * Messages have ids: one that is sent again because its answer was lost is stored once.
 *
 * @module
 */
import { DiscardPolicy, RetentionPolicy, StorageType } from '@nats-io/jetstream';
import { headers, nanos } from '@nats-io/nats-core';
import { Fault } from '../../faults.ts';
import { toHex } from '../../numeric/bytes.ts';
import { toUtf8 } from '../../numeric/text.ts';
import { isRefusal, type Nats, persist, REQUEST_MS, replicasOf } from './nats.ts';

/** The store of its subject was cut to so many bytes before this message. */
const CUT = 'Murmur-Cut';
/** Servers remember ids for so long; nothing is retried as long as that. */
const DUPLICATES_MS = 120_000;
/** Requests under way at once while a stream is read, and messages for which one is enough. */
const WALKS = 32;
const MIN_WALK = 16;

/** A message of the stream. */
export interface Message {
  readonly seq: number;
  readonly data: Uint8Array;
  readonly cut?: number;
}

export interface Log {
  /** One after the other. @returns the number of the message. @throws {Fault} LEASE_LOST once another has written, STORE_UNREACHABLE */
  append(subject: string, data: Uint8Array, cut?: number): Promise<number>;
  /** Everything that was appended so far is with a majority of the servers. */
  flush(): Promise<void>;
  /** Drops messages of a subject that are before number `seq`. Only saves room. */
  forget(subject: string, seq: number): Promise<void>;
  /** All messages of a subject. */
  read(subject: string): Promise<Message[]>;
  /** From here on every call throws, those in flight too. */
  stop(why: Fault): void;
}

/** Makes the stream if there is none. @throws {Fault} STORE_UNREACHABLE */
export async function ensureStream(nats: Nats): Promise<void> {
  const { jsm, names } = nats;
  await persist(nats, `the stream ${names.stream}`, async () => {
    try {
      await jsm.streams.info(names.stream);
    } catch (error) {
      if (!isRefusal(error, 'streamNotFound')) throw error;
      await jsm.streams.add({
        ...{ name: names.stream, subjects: [names.log.all], num_replicas: replicasOf(nats) },
        ...{ storage: StorageType.File, retention: RetentionPolicy.Limits, discard: DiscardPolicy.New },
        ...{ duplicate_window: nanos(DUPLICATES_MS), deny_delete: true },
      });
    }
  });
}

/**
 * Messages of a subject from number `from` on, to the last that the stream's leader knows. The leader is asked for each,
 * by many requests at once: consumers would be one request for all, but read copies, and have skipped messages when
 * servers died or others were dropped (2.9.10).
 * @throws what the network does
 */
export async function messagesFrom({ jsm, names }: Nats, subject: string, from: number): Promise<Message[]> {
  const last = await jsm.streams.getMessage(names.stream, { last_by_subj: subject });
  if (last === null || last.seq < from) return [];
  /** Those from `at` on and before `end`. */
  async function walk(at: number, end: number): Promise<Message[]> {
    const found: Message[] = [];
    for (let seq = at; seq < end; ) {
      const query = { seq, next_by_subj: subject } as never; // the server has it since 2.9, the types do not
      const next = await jsm.streams.getMessage(names.stream, query);
      if (next === null) throw new TypeError('the server that was asked does not have all of it');
      if (next.seq >= end) break;
      const cut = next.header.get(CUT);
      found.push({ seq: next.seq, data: new Uint8Array(next.data), ...(cut ? { cut: Number(cut) } : {}) });
      seq = next.seq + 1;
    }
    return found;
  }
  const count = last.seq + 1 - from;
  const size = Math.max(MIN_WALK, Math.ceil(count / WALKS));
  const starts = Array.from({ length: Math.ceil(count / size) }, (_, i) => from + i * size);
  return (await Promise.all(starts.map((at) => walk(at, Math.min(at + size, last.seq + 1))))).flat();
}

/**
 * Begins to write: whoever wrote before cannot any more.
 * @param me differs from every other writer's. @throws {Fault} STORE_UNREACHABLE
 */
export async function openLog(nats: Nats, me: string): Promise<Log> {
  const { js, jsm, names } = nats;
  const instance = `${me}-${toHex(nats.entropy(8))}`;
  let lost: Fault | undefined;
  let messages = 0;
  let queue: Promise<unknown> = Promise.resolve();

  /** What is in the stream behind `last`: our message, none at all, or somebody else's. */
  async function behind(last: number, id: string): Promise<'ours' | 'nothing' | 'foreign'> {
    const next = await jsm.streams.getMessage(names.stream, { seq: last + 1 });
    if (next) return next.header.get('Nats-Msg-Id') === id ? 'ours' : 'foreign';
    return (await jsm.streams.info(names.stream)).state.last_seq > last ? 'foreign' : 'nothing';
  }

  async function publish(subject: string, data: Uint8Array, cut?: number, after?: number): Promise<number> {
    const msgID = `${instance}-${messages++}`;
    const with_ = headers();
    if (cut !== undefined) with_.set(CUT, String(cut));
    const what = {
      msgID,
      headers: with_,
      timeout: REQUEST_MS,
      ...(after === undefined ? {} : { expect: { lastSequence: after } }),
    };
    const attempt = async (): Promise<number> => {
      if (lost) throw lost;
      try {
        return (await js.publish(subject, data, what)).seq;
      } catch (error) {
        if (!isRefusal(error, 'wrongLastSequence')) throw error;
        const found = await behind(after!, msgID);
        if (found === 'ours') return after! + 1;
        if (found === 'nothing') throw error;
        throw new Fault('LEASE_LOST', `another coordinator of ${names.run} writes the journal now; this one stands by`);
      }
    };
    return persist(nats, 'writing to the stream', attempt, { over: () => lost !== undefined });
  }

  let last = await publish(names.log.fence, toUtf8(me));

  function append(subject: string, data: Uint8Array, cut?: number): Promise<number> {
    const done = queue.then(async () => {
      if (lost) throw lost;
      try {
        last = await publish(subject, data, cut, last);
        return last;
      } catch (error) {
        // What the stream holds is not known from here on: only a new writer, behind a new fence, can tell.
        lost ??= error as Fault;
        throw lost;
      }
    });
    queue = done.catch(() => undefined);
    return done;
  }

  async function flush(): Promise<void> {
    await queue;
    if (lost) throw lost;
  }

  return {
    append,
    flush,
    async forget(subject, seq) {
      await jsm.streams.purge(names.stream, { filter: subject, seq }).catch(() => undefined);
    },
    async read(subject) {
      await flush();
      return persist(nats, 'reading the stream', () => messagesFrom(nats, subject, 1));
    },
    stop(why) {
      lost ??= why;
    },
  };
}
