/**
 * What a host said and nobody has read yet.
 *
 * @module
 */
import { FAULTS, Fault, type FaultCode } from '../faults.ts';
import type { ChunkMessage, HostMessage } from '../nouns.ts';
import type { ChannelEvents } from '../ports.ts';
import { decodeHostMessage } from '../wire/messages.ts';

/** The host refused: its words, not ours. */
export class Refusal extends Fault {}

/** Of a code that this version does not know. */
const known = (code: string): FaultCode => (Object.hasOwn(FAULTS, code) ? (code as FaultCode) : 'INTERNAL');

/** What is kept for whoever reads: chunks wait for nobody. */
export type Letter = Exclude<HostMessage, ChunkMessage>;

export class Inbox implements ChannelEvents {
  readonly #messages: Letter[] = [];
  readonly #onChunk: (message: ChunkMessage) => void;
  readonly #onEnd: (fault: Fault) => void;
  #end: Fault | undefined;
  #wakened: (() => void) | undefined;
  /** Octets of all messages so far. */
  received = 0;

  /**
   * @param onChunk hears what the exchange of chunks is about, at once.
   * @param onEnd hears why nothing more will come, when it is so: whoever waits for chunks does not read messages.
   */
  constructor(onChunk: (message: ChunkMessage) => void, onEnd: (fault: Fault) => void) {
    this.#onChunk = onChunk;
    this.#onEnd = onEnd;
  }

  frame(bytes: Uint8Array): void {
    if (this.#end !== undefined) return;
    this.received += bytes.length;
    try {
      const message = decodeHostMessage(bytes);
      // A late contribution costs nothing but itself; every other refusal is the last word.
      if (message.type === 'want' || message.type === 'chunk') {
        this.#onChunk(message);
        return;
      }
      if (message.type !== 'refused') {
        this.#messages.push(message);
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
    return this.#messages[0];
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
    const message = this.#messages.shift();
    if (message === undefined && this.#end !== undefined) throw this.#end;
    return message;
  }
}
