/**
 * What a host said and nobody has read yet.
 *
 * @module
 */
import { FAULTS, Fault, type FaultCode } from '../faults.ts';
import type { ChunkMessage, HostMessage, MergeOrder } from '../nouns.ts';
import type { ChannelEvents } from '../ports.ts';
import { decodeHostMessage } from '../wire/messages.ts';

/** The host refused: its words, not ours. */
export class Refusal extends Fault {}

/** Of a code that this version does not know. */
const known = (code: string): FaultCode => (Object.hasOwn(FAULTS, code) ? (code as FaultCode) : 'INTERNAL');

/** Of the exchange of vectors. */
export type Parcel = ChunkMessage | MergeOrder;
/** What is kept for whoever reads: parcels wait for nobody. */
export type Letter = Exclude<HostMessage, Parcel>;

/**
 * Octets of messages that wait while a peer computes. A minute of a run with a hundred rounds a second and a thousand peers
 * is less; each message counts for something besides, as it is kept decoded.
 */
const MAX_WAITING = 64 << 20;
const EACH = 256;

const PARCELS: ReadonlySet<string> = new Set(['want', 'chunk', 'sum', 'settle'] satisfies Parcel['type'][]);
const isParcel = (message: HostMessage): message is Parcel => PARCELS.has(message.type);

export class Inbox implements ChannelEvents {
  readonly #messages: { readonly letter: Letter; readonly octets: number }[] = [];
  #waiting = 0;
  readonly #onParcel: (message: Parcel) => void;
  readonly #onEnd: (fault: Fault) => void;
  #end: Fault | undefined;
  #wakened: (() => void) | undefined;
  /** Octets of all messages so far. */
  received = 0;

  /**
   * @param onParcel hears what the exchange of vectors is about, at once.
   * @param onEnd hears why nothing more will come, when it is so: whoever waits for chunks does not read messages.
   */
  constructor(onParcel: (message: Parcel) => void, onEnd: (fault: Fault) => void) {
    this.#onParcel = onParcel;
    this.#onEnd = onEnd;
  }

  frame(bytes: Uint8Array): void {
    if (this.#end !== undefined) return;
    this.received += bytes.length;
    try {
      const message = decodeHostMessage(bytes);
      // A late contribution costs nothing but itself; every other refusal is the last word.
      if (isParcel(message)) this.#onParcel(message);
      else if (message.type !== 'refused') {
        const octets = bytes.length + EACH;
        this.#waiting += octets;
        if (this.#waiting > MAX_WAITING) throw new Fault('TOO_FAST', 'the host sends more than can be read');
        this.#messages.push({ letter: message, octets });
        this.#wakened?.();
      } else if (message.code !== 'CONTRIBUTION_STALE') this.fail(new Refusal(known(message.code), message.detail));
    } catch (error) {
      this.fail(error as Fault);
    }
  }

  closed(reason: string): void {
    this.fail(new Fault('HOST_UNREACHABLE', `the connection to the host was lost (${reason || 'no reason given'})`));
  }

  /** The connection is of no use any more. */
  fail(fault: Fault): void {
    if (this.#end !== undefined) return;
    this.#end = fault;
    this.#onEnd(fault);
    this.#wakened?.();
  }

  /** Ends a wait in `next`. */
  interrupt(): void {
    this.#wakened?.();
  }

  /** The message that `next` would return at once. */
  peek(): Letter | undefined {
    return this.#messages[0]?.letter;
  }

  get ended(): boolean {
    return this.#end !== undefined;
  }

  /**
   * The next message, or undefined after `interrupt`.
   * @throws {Fault} when everything is read and the connection is gone
   */
  async next(): Promise<Letter | undefined> {
    if (this.#messages.length === 0 && this.#end === undefined)
      await new Promise<void>((resolve) => {
        this.#wakened = resolve;
      });
    this.#wakened = undefined;
    const first = this.#messages.shift();
    this.#waiting -= first?.octets ?? 0;
    if (first === undefined && this.#end !== undefined) throw this.#end;
    return first?.letter;
  }
}

/** @throws {Fault} if another message comes, or none */
export async function expect<T extends HostMessage['type']>(
  inbox: Inbox,
  type: T,
): Promise<Extract<HostMessage, { readonly type: T }>> {
  const message = await inbox.next();
  if (message?.type === type) return message as Extract<HostMessage, { readonly type: T }>;
  if (message === undefined) throw new Fault('INTERRUPTED', 'stopped while joining');
  throw new Fault('MESSAGE_UNEXPECTED', `the host sent ${message.type} before ${type}`);
}
