/**
 * Who comes in: connections to a host, from the first octet to the last. A newcomer names a key, the join code and
 * itself (`hello`), and proves the key (`challenge`, `prove`); from then on its messages are passed on. Everything
 * else is refused here, and harms nobody but its sender.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { ChunkMessage, HostMessage, MergeAnswer, PeerMessage } from '../nouns.ts';
import { printable } from '../numeric/text.ts';
import type { Channel, ChannelEvents, Clock, Crypto } from '../ports.ts';
import { MAX_DETAIL_BYTES } from '../wire/limits.ts';
import { decodePeerMessage, encodeHostMessage } from '../wire/messages.ts';
import { challengeMessage } from '../wire/signed.ts';
import type { Admission } from './admission.ts';
import { MAX_PEERS } from './coordinator.ts';
import { type Allowance, allowance, granted, type Kind, spend } from './rates.ts';
import type { Pass } from './state.ts';

/** From a connection's opening to the proof of its key: two round trips, on a bad line. */
const HANDSHAKE_MS = 10_000;
/** Connections without a proof: as many as there are places, for all peers may come back at once. They take none of those. */
export const MAX_STRANGERS: number = MAX_PEERS;
/** Connections of all kinds: those that were proved and are not admitted yet, or were replaced, go within moments. */
export const MAX_CONNECTIONS: number = 2 * MAX_PEERS;
/** `hello` is the longer of the two messages before the proof, and has 164 bytes: there is room for a later version. */
const MAX_GREETING_BYTES = 512;
/** What a stranger's connection may bring in all, the framing of TLS and pings included. */
const MAX_STRANGER_OCTETS = 8192;
/** Messages of one connection that wait their turn. An honest peer has one or two in flight. */
const MAX_QUEUED = 64;

/** Octets of peers' connections, the closed ones included. */
export interface Traffic {
  /** Frames as messages: what the protocol says. */
  readonly payload: number;
  /** What the sockets moved: payload, framing, handshakes, keep-alives. */
  readonly wire: number;
}

const NOTHING: Traffic = { payload: 0, wire: 0 };

export const addTraffic = (a: Traffic, b: Traffic): Traffic => ({
  payload: a.payload + b.payload,
  wire: a.wire + b.wire,
});

/** A peer that has proved its key. */
export interface Visitor {
  /** Number of its connection. */
  readonly channel: number;
  readonly key: Uint8Array;
  readonly name: string;
  /** By which it came. */
  readonly invite: Pass;
}

export type Work = Extract<PeerMessage, { readonly type: 'ready' | 'checksum' | 'contribution' }>;
const UNINVITED: Pass = { name: '', maxShare: 0 };
const isWork = (message: ChunkMessage | MergeAnswer | Work): message is Work =>
  message.type === 'ready' || message.type === 'checksum' || message.type === 'contribution';

/** What the door tells the host. `done` is called when a message has had its turn. */
export interface DoorEvents {
  proved(visitor: Visitor): void;
  message(visitor: Visitor, message: Work, done: () => void): void;
  /** Of the exchange of vectors, which waits for no turn. */
  exchange(visitor: Visitor, message: ChunkMessage | MergeAnswer): void;
  /** It broke the protocol after its proof, so its key answers for it. The connection is closed already. */
  violated(visitor: Visitor, fault: Fault): void;
  /** @param reason as the connection's end had it. */
  left(visitor: Visitor, reason: string): void;
  refused(fault: Fault, slot: number | undefined): void;
}

export interface DoorOptions {
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly entropy: (bytes: number) => Uint8Array;
  readonly run: Uint8Array;
  readonly admission: Admission;
  readonly events: DoorEvents;
}

export interface Door {
  accept(channel: Channel): ChannelEvents;
  /** Books the traffic of a connection under its slot. */
  assign(channel: number, slot: number): void;
  /** Whether its messages still count: not after a refusal. */
  isOpen(channel: number): boolean;
  send(channel: number, message: HostMessage): void;
  sendFrame(channel: number, frame: Uint8Array): void;
  /** Says why, then closes. */
  refuse(channel: number, fault: Fault): void;
  /** By slot; −1: connections that never got one. */
  traffic(): ReadonlyMap<number, Traffic>;
  close(): void;
}

/** A connection. */
interface Link {
  readonly id: number;
  readonly channel: Channel;
  readonly nonce: Uint8Array;
  readonly cancelTimeout: () => void;
  stage: 'hello' | 'prove' | 'proved' | 'closed';
  visitor: Visitor;
  /** As it was sent, until the proof. */
  code: string;
  allowance: Allowance;
  /** It has proved its key at some time. */
  known: boolean;
  slot: number | undefined;
  payload: number;
  queued: number;
}

export function openDoor({ crypto, clock, entropy, run, admission, events }: DoorOptions): Door {
  const links = new Map<number, Link>();
  const past = new Map<number, Traffic>();
  let strangers = 0;
  let ids = 0;
  let closed = false;

  function accept(channel: Channel): ChannelEvents {
    const id = ids++;
    const link: Link = {
      id,
      channel,
      nonce: entropy(32),
      cancelTimeout: clock.after(HANDSHAKE_MS, () => {
        if (link.stage !== 'proved') refuse(link, new Fault('MESSAGE_UNEXPECTED', 'the handshake took too long'));
      }),
      stage: 'hello',
      visitor: { channel: id, key: new Uint8Array(0), name: '', invite: UNINVITED },
      code: '',
      allowance: allowance(clock.now()),
      known: false,
      slot: undefined,
      payload: 0,
      queued: 0,
    };
    links.set(id, link);
    channel.confine?.(MAX_STRANGER_OCTETS);
    strangers++;
    if (closed || strangers > MAX_STRANGERS || links.size > MAX_CONNECTIONS)
      refuse(link, new Fault('RUN_FULL', 'there are too many connections; try again later'));
    return {
      frame(bytes) {
        if (link.stage === 'closed') return;
        link.payload += bytes.length;
        try {
          if (!link.known && bytes.length > MAX_GREETING_BYTES)
            throw new Fault(
              'FRAME_TOO_LONG',
              `${bytes.length} bytes before a proof, ${MAX_GREETING_BYTES} are allowed`,
            );
          hear(link, decodePeerMessage(bytes));
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          if (link.known) events.violated(link.visitor, error);
          refuse(link, error);
        }
      },
      closed(reason) {
        link.cancelTimeout();
        if (!link.known) strangers--;
        links.delete(id);
        book(past, link);
        if (link.known) events.left(link.visitor, reason);
      },
    };
  }

  /** @throws {Fault} for what breaks the protocol */
  function hear(link: Link, message: PeerMessage): void {
    const { stage, id, nonce, visitor } = link;
    if (stage === 'hello' && message.type === 'hello') {
      const invite = admission.check(message.code, message.key);
      link.visitor = { channel: id, key: message.key, name: message.name, invite };
      link.code = message.code;
      link.stage = 'prove';
      sendFrame(id, encodeHostMessage({ type: 'challenge', nonce, run }));
      return;
    }
    if (stage === 'prove' && message.type === 'prove') {
      if (!crypto.verify(visitor.key, challengeMessage(nonce, run, visitor.key), message.signature))
        throw new Fault('SIGNATURE_WRONG', 'the challenge was not signed with the key that hello named');
      const invite = admission.enter(link.code, visitor.key);
      link.visitor = { ...visitor, invite };
      link.code = '';
      link.stage = 'proved';
      link.known = true;
      strangers--;
      link.cancelTimeout();
      link.channel.confine?.(undefined);
      events.proved(link.visitor);
      return;
    }
    if (stage !== 'proved' || message.type === 'hello' || message.type === 'prove')
      throw new Fault('MESSAGE_UNEXPECTED', `${message.type} does not belong here`);
    const kind: Kind = isWork(message) ? 'work' : 'exchange';
    if (!spend(link.allowance, kind, clock.now()))
      throw new Fault('TOO_FAST', `${message.type}: more messages than a peer has reason to send`);
    if (!isWork(message)) {
      events.exchange(visitor, message);
      return;
    }
    if (++link.queued > MAX_QUEUED) throw new Fault('MESSAGE_UNEXPECTED', `more than ${MAX_QUEUED} messages at once`);
    events.message(visitor, message, () => {
      link.queued--;
    });
  }

  function refuse(link: Link, fault: Fault): void {
    if (link.stage === 'closed') return;
    const detail = printable(fault.detail, MAX_DETAIL_BYTES);
    sendFrame(link.id, encodeHostMessage({ type: 'refused', code: fault.code, detail }));
    link.stage = 'closed';
    events.refused(fault, link.slot);
    link.channel.close(fault.code);
  }

  function sendFrame(id: number, frame: Uint8Array): void {
    const link = links.get(id);
    if (link === undefined || link.stage === 'closed') return;
    link.payload += frame.length;
    granted(link.allowance, frame);
    link.channel.send(frame);
  }

  return {
    accept,
    assign(id, slot) {
      const link = links.get(id);
      if (link !== undefined) link.slot = slot;
    },
    isOpen: (id) => links.get(id)?.stage !== 'closed',
    send: (id, message) => sendFrame(id, encodeHostMessage(message)),
    sendFrame,
    refuse(id, fault) {
      const link = links.get(id);
      if (link !== undefined) refuse(link, fault);
    },
    traffic() {
      const bySlot = new Map(past);
      for (const link of links.values()) book(bySlot, link);
      return bySlot;
    },
    close() {
      closed = true;
      for (const link of links.values()) {
        link.cancelTimeout();
        link.stage = 'closed';
        link.channel.close('the host has closed');
      }
    },
  };
}

/** Adds a connection's octets to those of its slot. */
function book(bySlot: Map<number, Traffic>, { slot = -1, channel, payload }: Link): void {
  const { received, sent } = channel.traffic();
  bySlot.set(slot, addTraffic(bySlot.get(slot) ?? NOTHING, { payload, wire: received + sent }));
}
