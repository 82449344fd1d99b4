/**
 * The world of a simulation: time in ticks, lines between peers and a host, and disks. Everything that may go wrong in it is
 * drawn from one seed, so the same seed is the same history.
 *
 * What is due in a tick happens in an order that is drawn as well, then everything that follows from it by promises. A
 * line keeps the order of its frames, as TCP does; two lines keep none.
 */
import { memoryStore } from '../../src/peer/memory-store.ts';
import type { Channel, ChannelEvents, Clock, Store, Transport } from '../../src/ports.ts';
import { seeded } from '../peer/fake.ts';

/** Milliseconds. Finer would cost time and show nothing: a disk takes about so long, and a host's turn of its loop. */
export const TICK = 20;

export interface World extends Clock {
  readonly random: () => number;
  /** 0 … n - 1. */
  pick(n: number): number;
  /** At the earliest in the next tick. */
  later(ms: number, act: () => void): void;
  /** Until `done`, or for `limit` ms. @returns whether it was done. */
  run(done: () => boolean, limit: number): Promise<boolean>;
}

interface Due {
  act: (() => void) | undefined;
}

/** Promise reactions run to their end before this resolves. */
const drain = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function newWorld(seed: number): World {
  const random = seeded(seed);
  const due = new Map<number, Due[]>();
  let tick = 0;

  function at(ms: number, act: () => void): Due {
    const when = Math.max(tick + 1, tick + Math.ceil(ms / TICK));
    const one: Due = { act };
    const list = due.get(when);
    if (list === undefined) due.set(when, [one]);
    else list.push(one);
    return one;
  }

  const pick = (n: number): number => Math.floor(random() * n);
  function shuffle(list: Due[]): void {
    for (let i = list.length - 1; i > 0; i--) {
      const j = pick(i + 1);
      [list[i], list[j]] = [list[j]!, list[i]!];
    }
  }

  return {
    random,
    pick,
    now: () => tick * TICK,
    after(ms, callback) {
      const one = at(ms, callback);
      return () => {
        one.act = undefined;
      };
    },
    later: (ms, act) => void at(ms, act),
    async run(done, limit) {
      const end = tick + Math.ceil(limit / TICK);
      await drain();
      for (; tick < end; tick++) {
        if (done()) return true;
        const list = due.get(tick);
        if (list === undefined) continue;
        due.delete(tick);
        shuffle(list);
        for (const { act } of list) act?.();
        await drain();
      }
      return done();
    },
  };
}

// ---------------------------------------------------------------------------------------------------------- lines

/** What travels: the connection itself, then frames, then the reason of a close. */
type Item = (() => void) | Uint8Array | string;

/** One way of a line: what is sent arrives in order. */
interface Way {
  /** On their way, by the tick in which they arrive. */
  readonly batches: { readonly at: number; items: Item[] }[];
  readonly arrive: (item: Item) => void;
  /** What is sent in one tick travels together. */
  sent: { readonly tick: number; readonly arrives: number };
}

/** A connection of a peer, as both ends and whoever cuts it see it. */
export interface Line {
  /** What the peer does with it. */
  readonly channel: Channel;
  /** The cable breaks: of what is under way a part arrives. The host learns of it after `hostLearns` ms, the peer at once. */
  cut(hostLearns: number): void;
}

/** How far a peer is from the host. */
export interface Distance {
  /** Milliseconds of a frame, at least. */
  readonly latency: number;
  /** And at most so many more. */
  readonly jitter: number;
  /** Behind a partition nothing arrives before that time. */
  blockedUntil: number;
}

export interface Network {
  /** For the next host. The one before is cut off. */
  hostTransport(): Transport;
  /** @returns undefined where nobody answers. */
  dial(distance: Distance, events: ChannelEvents): Line | undefined;
}

export function newNetwork(world: World): Network {
  let accept: ((channel: Channel) => ChannelEvents) | undefined;
  let lines = new Set<Line>();

  function dial(distance: Distance, peer: ChannelEvents): Line | undefined {
    if (accept === undefined || distance.blockedUntil > world.now()) return undefined;
    let [peerOpen, hostOpen, cutOff] = [true, true, false];
    let host: ChannelEvents | undefined;
    const counts = { received: 0, sent: 0 };
    const up: Way = {
      ...{ batches: [], sent: { tick: -1, arrives: 0 } },
      arrive(item) {
        if (!hostOpen) return;
        if (typeof item === 'string') endHost(item);
        else if (typeof item === 'function') item();
        else {
          counts.received += item.length;
          host?.frame(item);
        }
      },
    };
    const down: Way = {
      ...{ batches: [], sent: { tick: -1, arrives: 0 } },
      arrive(item) {
        if (!peerOpen) return;
        if (typeof item === 'string') endPeer(item);
        else if (typeof item !== 'function') peer.frame(item);
      },
    };

    function arrival({ sent }: Way): number {
      const tick = world.now() / TICK;
      if (sent.tick === tick) return sent.arrives;
      const blocked = Math.max(0, distance.blockedUntil - world.now());
      const ms = blocked + distance.latency + world.random() * distance.jitter;
      return Math.max(sent.arrives, tick + Math.max(1, Math.ceil(ms / TICK)));
    }
    function travel(way: Way, item: Item): void {
      const at = arrival(way);
      way.sent = { tick: world.now() / TICK, arrives: at };
      const last = way.batches.at(-1);
      if (last?.at === at) {
        last.items.push(item);
        return;
      }
      way.batches.push({ at, items: [item] });
      world.later(at * TICK - world.now(), () => way.batches.shift()!.items.forEach(way.arrive));
    }
    const endPeer = (reason: string): void => {
      if (!peerOpen) return;
      peerOpen = false;
      peer.closed(reason);
    };
    const endHost = (reason: string): void => {
      if (!hostOpen) return;
      hostOpen = false;
      lines.delete(line);
      host?.closed(reason);
    };
    /** Only the first of what is under way arrives. */
    function truncate({ batches }: Way): void {
      let left = world.pick(batches.reduce((sum, { items }) => sum + items.length, 0) + 1);
      for (const batch of batches) {
        batch.items = batch.items.slice(0, left);
        left -= batch.items.length;
      }
    }

    const line: Line = {
      channel: {
        send(frame) {
          if (!peerOpen) return;
          travel(up, frame);
        },
        close(reason) {
          if (!peerOpen) return;
          peerOpen = false;
          travel(up, reason);
        },
        traffic: () => counts,
      },
      cut(hostLearns) {
        truncate(up);
        truncate(down);
        // What has been cut off by one end is not sent any more by the other: it only does not know yet.
        cutOff = true;
        world.later(0, () => endPeer('cut'));
        world.later(hostLearns, () => endHost('cut'));
      },
    };
    const hostChannel: Channel = {
      send(frame) {
        if (!hostOpen || cutOff) return;
        counts.sent += frame.length;
        travel(down, frame);
      },
      close(reason) {
        if (!hostOpen) return;
        hostOpen = false;
        lines.delete(line);
        if (!cutOff) travel(down, reason);
        world.later(0, () => host?.closed(reason));
      },
      traffic: () => counts,
    };
    const answering = accept;
    travel(up, () => {
      if (accept === answering) {
        lines.add(line);
        host = answering(hostChannel);
      } else {
        hostOpen = false;
        endPeer('nobody answers');
      }
    });
    return line;
  }

  return {
    dial,
    hostTransport() {
      const own = new Set<Line>();
      lines = own;
      let listening: typeof accept;
      return {
        async listen(given) {
          listening = given;
          accept = given;
          return 'simulated';
        },
        dial: () => Promise.reject(new RangeError('"dial" expected a peer')),
        async close() {
          if (accept === listening) accept = undefined;
          for (const line of own) line.cut(0);
        },
      };
    },
  };
}

// ---------------------------------------------------------------------------------------------------------- disks

/** A disk whose host may die: a sync takes its time, and what was not synced is lost but for its first bytes. */
export interface Disk {
  /** For the next host. */
  open(): Store;
  crash(): void;
}

/** @param ms a sync takes, at most. */
export function newDisk(world: World, ms: number): Disk {
  let store = memoryStore();
  return {
    open: () => ({
      ...store,
      async sync() {
        const took = world.random() * ms;
        if (took >= 1) await new Promise<void>((resolve) => world.later(took, resolve));
        await store.sync();
      },
    }),
    crash() {
      store = store.crash(world.pick(4) === 0 ? 0 : world.pick(20_000));
    },
  };
}
