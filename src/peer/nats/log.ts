/**
 * The stream of a run as a log with one writer at a time. A writer begins with a fence; every message says which one it
 * follows, so the first message of a writer that was overtaken is refused by the stream, and nothing of it is kept.
 * Messages have ids: one that is sent again because its answer was lost is stored once.
 *
 * @module
 */
import { DeliverPolicy, DiscardPolicy, RetentionPolicy, StorageType } from '@nats-io/jetstream';
import { headers, type MsgHdrs, nanos } from '@nats-io/nats-core';
import { Fault } from '../../faults.ts';
import { toHex } from '../../numeric/bytes.ts';
import { toUtf8 } from '../../numeric/text.ts';
import { isRefusal, type Nats, persist, REQUEST_MS, replicasOf } from './nats.ts';

/** The store of its subject was cut to so many bytes before this message. */
const CUT = 'Murmur-Cut';
/** Servers remember ids for so long; nothing is retried as long as that. */
const DUPLICATES_MS = 120_000;
/** No message for so long, while there are some: the reading is begun again. */
const SILENCE_MS = 10_000;

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

/** A message as `streams.getMessage` and consumers give it. */
interface Found {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
}

const message = ({ seq, data }: Found, with_: MsgHdrs | undefined): Message => {
  const cut = with_?.get(CUT);
  return { seq, data: new Uint8Array(data), ...(cut ? { cut: Number(cut) } : {}) };
};

/**
 * Messages of a subject from number `from` on, to the last that the stream's leader knows.
 * @throws what the network does
 */
export async function messagesFrom(nats: Nats, subject: string, from: number): Promise<Message[]> {
  const { js, jsm, names, clock } = nats;
  // A copy that a consumer reads may be behind: the leader says where the end is.
  const last = await jsm.streams.getMessage(names.stream, { last_by_subj: subject });
  if (last === null || last.seq < from) return [];
  const start = { opt_start_seq: from, deliver_policy: DeliverPolicy.StartSequence };
  const consumer = await js.consumers.get(names.stream, { filter_subjects: subject, ...start });
  const found: Message[] = [];
  const messages = await consumer.consume({ max_messages: 1000 });
  let cancel = (): void => undefined;
  const watch = (): void => {
    cancel();
    cancel = clock.after(SILENCE_MS, () => messages.stop(new Fault('STORE_UNREACHABLE', 'the stream fell silent')));
  };
  watch();
  try {
    for await (const next of messages) {
      watch();
      found.push(message(next, next.headers));
      if (next.seq >= last.seq) break;
    }
  } finally {
    cancel();
    await consumer.delete().catch(() => undefined); // it would be forgotten by itself
  }
  return found;
}

/** The same one by one, for a subject of few messages that are dropped: consumers of servers before 2.10 lose others then. */
async function messagesOf({ jsm, names }: Nats, subject: string): Promise<Message[]> {
  const found: Message[] = [];
  for (let seq = 1; ; ) {
    const next = await jsm.streams.getMessage(names.stream, { seq, next_by_subj: subject } as never);
    if (next === null) return found;
    found.push(message(next, next.header));
    seq = next.seq + 1;
  }
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
      const all =
        subject === names.log.journal ? () => messagesFrom(nats, subject, 1) : () => messagesOf(nats, subject);
      return persist(nats, 'reading the stream', all);
    },
    stop(why) {
      lost ??= why;
    },
  };
}
