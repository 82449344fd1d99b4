/**
 * Stores in the stream of a run: what is appended is a message of a subject, longer pieces are several. A cut is a message
 * too, since only messages are fenced: a coordinator that was overtaken can remove nothing.
 *
 * @module
 */
import { Fault } from '../../faults.ts';
import { concatBytes } from '../../numeric/bytes.ts';
import type { Store } from '../../ports.ts';
import type { Log, Message } from './log.ts';

/** The bytes that messages of one subject come to. */
export function bytesOf(messages: readonly Message[]): Uint8Array {
  let pieces: Uint8Array[] = [];
  for (const { data, cut } of messages) {
    if (cut !== undefined) pieces = [concatBytes(...pieces).subarray(0, cut)];
    pieces.push(data);
  }
  return concatBytes(...pieces);
}

/** @param most bytes of a message. */
export function streamStore(log: Log, subject: string, most: number): Store {
  let closed = false;
  const open = (): void => {
    if (closed) throw new Fault('INTERNAL', `${subject}: the store is closed`);
  };
  return {
    name: `nats:${subject}`,
    async read() {
      open();
      return bytesOf(await log.read(subject));
    },
    async append(bytes) {
      open();
      const own = bytes.slice(); // the caller may go on writing into it
      const sent: Promise<unknown>[] = [];
      for (let at = 0; at < own.length; at += most) sent.push(log.append(subject, own.subarray(at, at + most)));
      await Promise.all(sent);
    },
    async sync() {
      open();
      await log.flush();
    },
    async truncate(length) {
      open();
      const seq = await log.append(subject, new Uint8Array(0), length);
      if (length === 0) await log.forget(subject, seq);
    },
    async close() {
      closed = true;
    },
  };
}
