/**
 * Frames as messages of NATS, which are short, and may be lost when a connection to a server breaks: longer frames are
 * sent in parts, and every message has a number, so that a missing one ends the channel, as on a socket.
 *
 *     message = kind u8 · number u32 · payload
 *
 * @module
 */
import { concatBytes } from '../../numeric/bytes.ts';
import { fromUtf8, toUtf8 } from '../../numeric/text.ts';

/** `part`: more of the frame follows. `beat`: nothing, so that silence means death. */
const KINDS = ['frame', 'part', 'close', 'beat'] as const;
export type Kind = (typeof KINDS)[number];

const HEAD = 5;
/** A reason for people. */
const MAX_REASON_BYTES = 256;

/** What came in. */
export type Arrival =
  | { readonly type: 'frame'; readonly frame: Uint8Array }
  /** The other side ended the channel. */
  | { readonly type: 'closed'; readonly reason: string }
  /** It cannot go on, and the other side does not know. */
  | { readonly type: 'broken'; readonly reason: string }
  | { readonly type: 'more' };

/** Messages of one direction of a channel, numbered. */
export interface Sender {
  /** A frame in as many messages as it takes. */
  frame(bytes: Uint8Array): Uint8Array[];
  close(reason: string): Uint8Array;
  beat(): Uint8Array;
}

/** @param most bytes of a message. */
export function sender(most: number): Sender {
  let number = 0;
  const message = (kind: Kind, payload: Uint8Array): Uint8Array => {
    const bytes = new Uint8Array(HEAD + payload.length);
    bytes[0] = KINDS.indexOf(kind);
    new DataView(bytes.buffer).setUint32(1, number++, true);
    bytes.set(payload, HEAD);
    return bytes;
  };
  return {
    frame(bytes) {
      const size = most - HEAD;
      const parts: Uint8Array[] = [];
      for (let at = 0; at === 0 || at < bytes.length; at += size)
        parts.push(message(at + size < bytes.length ? 'part' : 'frame', bytes.subarray(at, at + size)));
      return parts;
    },
    close: (reason) => message('close', toUtf8(reason).subarray(0, MAX_REASON_BYTES)),
    beat: () => message('beat', new Uint8Array(0)),
  };
}

export const isClose = (message: Uint8Array): boolean => KINDS[message[0] ?? KINDS.length] === 'close';

/** @param longest frame that is taken. @returns what a message comes to. */
export function receiver(longest: number): (message: Uint8Array) => Arrival {
  let expected = 0;
  let parts: Uint8Array[] = [];
  let length = 0;
  return (message) => {
    const kind = message.length < HEAD ? undefined : KINDS[message[0]!];
    if (kind === undefined) return { type: 'broken', reason: 'a message that is none of ours' };
    const payload = new Uint8Array(message.subarray(HEAD)); // a copy: the message may be a view of what was read
    // Whatever was lost before it: who ends a channel that it does not know cannot number its message.
    if (kind === 'close') return { type: 'closed', reason: fromUtf8(payload) ?? '' };
    const number = new DataView(message.buffer, message.byteOffset).getUint32(1, true);
    if (number !== expected) return { type: 'broken', reason: 'messages were lost on the way' };
    expected = (expected + 1) >>> 0;
    if (kind === 'beat') return { type: 'more' };
    length += payload.length;
    if (length > longest) return { type: 'broken', reason: `a frame is longer than ${longest} bytes` };
    parts.push(payload);
    if (kind === 'part') return { type: 'more' };
    const frame = parts.length === 1 ? payload : concatBytes(...parts);
    parts = [];
    length = 0;
    return { type: 'frame', frame };
  };
}
