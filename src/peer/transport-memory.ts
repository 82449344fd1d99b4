/**
 * Channels inside one process: for tests, simulations, and a host with its own peers. Frames are counted, not framed.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Channel, ChannelEvents, Transport } from '../ports.ts';

/** One end. What it says arrives at `other` in order, each frame when `later` calls back. */
class End implements Channel {
  other!: End;
  events: ChannelEvents | undefined;
  readonly #later: (deliver: () => void) => void;
  readonly #queue: ((events: ChannelEvents) => void)[] = [];
  #open = true;
  #received = 0;
  #sent = 0;

  constructor(later: (deliver: () => void) => void) {
    this.#later = later;
  }

  send(frame: Uint8Array): void {
    if (!this.#open) return;
    this.#sent += frame.length;
    const copy = frame.slice(); // the sender may reuse its buffer, as it may with a socket
    this.other.#deliver((events) => {
      this.other.#received += copy.length;
      events.frame(copy);
    });
  }

  close(reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.#deliver((events) => events.closed(reason));
    if (!this.other.#open) return;
    this.other.#open = false;
    this.other.#deliver((events) => events.closed(reason));
  }

  traffic(): { readonly received: number; readonly sent: number } {
    return { received: this.#received, sent: this.#sent };
  }

  #deliver(act: (events: ChannelEvents) => void): void {
    this.#queue.push(act);
    this.#later(() => this.#queue.shift()?.(this.events!));
  }
}

/**
 * A network of one process. Every transport made by the result can dial what another listens on.
 * @param later when a frame arrives: calls back once, some time after it was called. At once, by default.
 */
export function memoryNetwork(later: (deliver: () => void) => void = queueMicrotask): () => Transport {
  const listeners = new Map<string, (channel: Channel) => ChannelEvents>();
  let addresses = 0;
  return () => {
    const own = new Set<string>();
    const ends = new Set<End>();
    const joined = (): [End, End] => {
      const [a, b] = [new End(later), new End(later)];
      a.other = b;
      b.other = a;
      return [a, b];
    };
    return {
      async listen(accept) {
        const address = `memory:${addresses++}`;
        own.add(address);
        listeners.set(address, (channel) => {
          ends.add(channel as End);
          return accept(channel);
        });
        return address;
      },
      async dial(address, events) {
        const accept = listeners.get(address);
        if (accept === undefined) throw new Fault('HOST_UNREACHABLE', `nothing listens at ${address}`);
        const [near, far] = joined();
        ends.add(near);
        near.events = events;
        far.events = accept(far);
        return near;
      },
      async close() {
        for (const address of own) listeners.delete(address);
        for (const end of ends) end.close('the transport was closed');
      },
    };
  };
}
