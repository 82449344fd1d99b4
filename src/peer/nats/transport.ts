/**
 * Channels over NATS: peers reach whoever leads by a subject, so no coordinator needs an open port, and a new leader is
 * found where the old one was. A channel is two subjects and messages that are numbered (`envelope.ts`).
 *
 * @module
 */
import type { Msg, Subscription } from '@nats-io/nats-core';
import { Fault } from '../../faults.ts';
import { fromUtf8, toUtf8 } from '../../numeric/text.ts';
import type { Channel, ChannelEvents, Transport } from '../../ports.ts';
import { MAX_HOST_FRAME_BYTES, MAX_PEER_FRAME_BYTES } from '../../wire/limits.ts';
import { isClose, receiver, sender } from './envelope.ts';
import { type Nats, partBytes } from './nats.ts';

/** Silence of one side means that it is gone after three of these. */
const BEAT_MS = 5000;
const SILENT_MS = 3 * BEAT_MS;
const DIAL_MS = 5000;
/** Channels of one leader, above what the host itself would take. */
const MAX_CHANNELS = 2048;
/** Short, as every message carries it; nobody guesses it, and nothing but quiet depends on that. */
const ID_BYTES = 6;
const ID = /^[\w-]{8}$/;

/** Of a channel. */
const newId = ({ entropy }: Pick<Nats, 'entropy'>): string =>
  btoa(String.fromCharCode(...entropy(ID_BYTES)))
    .replaceAll('+', '-')
    .replaceAll('/', '_');

/** An end that is open. */
interface End {
  readonly channel: Channel;
  beat(): void;
  take(message: Msg): void;
  /** Closes it from below: nobody is told on the other side. */
  drop(reason: string): void;
}

/** Octets of the text protocol around a payload: `PUB subject size` and `MSG subject sid size`, three line ends. */
const octets = (verb: number, subject: string, payload: number): number =>
  verb + 2 + subject.length + String(payload).length + 4 + payload;
const PUB = 3;
/** With a subscription number of up to three digits. */
const MSG = 7;

/** @param to subject that its messages go to. @param longest frame that it takes. @param gone hears of its end. */
function openEnd(
  nats: Nats,
  to: string,
  longest: number,
  gone: () => void,
): End & { hear(events: ChannelEvents): void } {
  const { connection, clock } = nats;
  const out = sender(partBytes(nats));
  const take = receiver(longest);
  let events: ChannelEvents | undefined;
  let over = false;
  let received = 0;
  let sent = 0;
  let heardAt = clock.now();

  function publish(message: Uint8Array): void {
    if (connection.isClosed()) return;
    sent += octets(PUB, to, message.length);
    connection.publish(to, message);
  }
  const beat = (): void => publish(out.beat());
  let cancel = beatLater();
  function beatLater(): () => void {
    return clock.after(BEAT_MS, () => {
      if (clock.now() - heardAt > SILENT_MS) return end('the other side fell silent');
      beat();
      cancel = beatLater();
    });
  }
  function end(reason: string): void {
    if (over) return;
    over = true;
    cancel();
    gone();
    queueMicrotask(() => events?.closed(reason));
  }
  function close(reason: string): void {
    if (over) return;
    publish(out.close(reason));
    end(reason);
  }
  return {
    hear(own) {
      events = own;
    },
    take({ subject, data }) {
      if (over) return;
      received += octets(MSG, subject, data.length);
      heardAt = clock.now();
      const arrival = take(data);
      if (arrival.type === 'frame') events?.frame(arrival.frame);
      if (arrival.type === 'broken') close(arrival.reason);
      if (arrival.type === 'closed') end(arrival.reason);
    },
    beat,
    drop: end,
    channel: {
      send(frame) {
        if (!over) for (const message of out.frame(frame)) publish(message);
      },
      close,
      traffic: () => ({ received, sent }),
    },
  };
}

/** What was said while a connection to a server broke may be lost. The number of a beat tells the other side at once. */
async function beatWhenBack({ connection }: Nats, ends: () => Iterable<End>): Promise<void> {
  for await (const { type } of connection.status()) if (type === 'reconnect') for (const end of ends()) end.beat();
}

export interface NatsTransportOptions {
  /** Id of this coordinator in the subjects. */
  readonly me: string;
  /** Whether it leads now: one that does not takes no newcomers. */
  readonly leads: () => boolean;
}

/** What a coordinator listens with. Its address is the subject that peers dial. */
export function natsListener(nats: Nats, { me, leads }: NatsTransportOptions): Pick<Transport, 'listen' | 'close'> {
  const { connection, names } = nats;
  const ends = new Map<string, End>();
  const subscriptions: Subscription[] = [];
  void beatWhenBack(nats, () => ends.values());
  /** Of a channel that ended here, or under a leader before this one: its peer has not heard that, and would wait. */
  function refuse(id: string, message: Msg): void {
    if (!leads() || !ID.test(id) || isClose(message.data)) return;
    connection.publish(names.down(id), sender(partBytes(nats)).close('the coordinator does not know this channel'));
  }
  return {
    async listen(accept) {
      const frames = connection.subscribe(names.up('*'), {
        callback(error, message) {
          if (error !== null) return;
          const id = message.subject.split('.').at(-1)!;
          const end = ends.get(id);
          end ? end.take(message) : refuse(id, message);
        },
      });
      const dials = connection.subscribe(names.dial, {
        callback(error, message) {
          const id = error === null ? message.string() : '';
          if (!ID.test(id) || ends.has(id) || ends.size >= MAX_CHANNELS || !leads()) return;
          const end = openEnd(nats, names.down(id), MAX_PEER_FRAME_BYTES, () => ends.delete(id));
          ends.set(id, end);
          end.hear(accept(end.channel));
          message.respond(toUtf8(me));
        },
      });
      subscriptions.push(frames, dials);
      connection.publish(names.leader, toUtf8(me));
      await connection.flush();
      return names.dial;
    },
    async close() {
      for (const subscription of subscriptions) if (!connection.isClosed()) subscription.unsubscribe();
      for (const { channel } of [...ends.values()]) channel.close('the transport was closed');
      if (!connection.isClosed()) await connection.flush().catch(() => undefined);
    },
  };
}

/** @param onLeader hears which coordinator a channel was opened to. */
export function natsDialler(
  nats: Nats,
  onLeader: (leader: string) => void = () => undefined,
): Pick<Transport, 'dial' | 'close'> {
  const { connection, names } = nats;
  const ends = new Set<End>();
  void beatWhenBack(nats, () => ends);
  return {
    async dial(_, events) {
      const id = newId(nats);
      let end: ReturnType<typeof openEnd> | undefined;
      let leader: string | undefined;
      const early: Msg[] = [];
      const down = connection.subscribe(names.down(id), {
        callback: (error, message) => {
          if (error === null) end ? end.take(message) : early.push(message);
        },
      });
      // Whoever lost its leader without a word hears of the next one here.
      const news = connection.subscribe(names.leader, {
        callback: (error, message) => {
          if (error === null && leader !== undefined && message.string() !== leader)
            end?.drop('another coordinator leads now');
        },
      });
      const quiet = (): void => {
        if (connection.isClosed()) return;
        down.unsubscribe();
        news.unsubscribe();
      };
      try {
        leader = fromUtf8((await connection.request(names.dial, toUtf8(id), { timeout: DIAL_MS })).data) ?? '';
      } catch (cause) {
        quiet();
        const detail = `no coordinator of the run ${names.run} answers on NATS; is one running?`;
        throw new Fault('HOST_UNREACHABLE', detail, { cause });
      }
      onLeader(leader);
      const own = openEnd(nats, names.up(id), MAX_HOST_FRAME_BYTES, () => {
        quiet();
        ends.delete(own);
      });
      ends.add(own);
      own.hear(events);
      end = own;
      for (const message of early) own.take(message);
      return own.channel;
    },
    async close() {
      for (const { channel } of [...ends]) channel.close('the transport was closed');
      if (!connection.isClosed()) await connection.flush().catch(() => undefined);
    },
  };
}
