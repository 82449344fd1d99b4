/**
 * Channels over the WebSocket of a browser, one binary message a frame. A browser answers pings by itself and shows
 * nobody any, so a host that vanished without a word is missed when the system says that it is offline, or when the
 * browser gives the connection up.
 *
 * @module
 */
import { Fault } from '../../faults.ts';
import type { Channel, Transport } from '../../ports.ts';
import { MAX_HOST_FRAME_BYTES } from '../../wire/limits.ts';

/** RFC 6455, 5.5: what is left of a control frame behind the code. */
const MAX_REASON_BYTES = 123;
const DIAL_MS = 10_000;
/** Octets that wait for a host which does not read. */
const MAX_BUFFERED = 4 << 20;

/** RFC 6455, 5.2: octets before the payload of a frame. @param masked as all are that a browser sends. */
const headerOctets = (payload: number, masked: boolean): number =>
  2 + (payload < 126 ? 0 : payload < 65_536 ? 2 : 8) + (masked ? 4 : 0);

const shortened = (reason: string): string =>
  new TextDecoder().decode(new TextEncoder().encode(reason).subarray(0, MAX_REASON_BYTES - 3));

/**
 * @param Socket the browser's. @param offline hears of the system going offline, @returns what stops that.
 */
export function webSocketDialler(
  Socket: typeof WebSocket,
  offline: (lost: () => void) => () => void,
): Pick<Transport, 'dial'> {
  return {
    dial: (address, events) =>
      new Promise((resolve, reject) => {
        const ws = new Socket(address);
        ws.binaryType = 'arraybuffer';
        // A page is not told what a socket moved: frames are counted as they are on the wire, without the handshake.
        let received = 0;
        let sent = 0;
        let opened = false;
        let over = false;
        const end = (reason: string): void => {
          if (over) return;
          over = true;
          clearTimeout(timer);
          stopListening();
          if (opened) events.closed(reason);
          else reject(new Fault('HOST_UNREACHABLE', `nothing answers at ${address} (${reason}); is the host running?`));
        };
        const give = (reason: string): void => {
          ws.close(1000, shortened(reason));
          end(reason);
        };
        const timer = setTimeout(() => give('no answer'), DIAL_MS);
        const stopListening = offline(() => give('this machine is offline'));
        const channel: Channel = {
          send(frame) {
            if (over || ws.readyState !== Socket.OPEN) return;
            if (ws.bufferedAmount > MAX_BUFFERED) {
              give('the host does not read');
              return;
            }
            sent += headerOctets(frame.length, true) + frame.length;
            ws.send(frame as Uint8Array<ArrayBuffer>);
          },
          close(reason) {
            if (ws.readyState <= Socket.OPEN) ws.close(1000, shortened(reason));
          },
          traffic: () => ({ received, sent }),
        };
        ws.onopen = () => {
          clearTimeout(timer);
          if (over) return;
          opened = true;
          resolve(channel);
        };
        ws.onmessage = ({ data }: MessageEvent<unknown>) => {
          if (over) return;
          if (!(data instanceof ArrayBuffer)) return channel.close('binary messages only');
          if (data.byteLength > MAX_HOST_FRAME_BYTES) return channel.close('a frame is too long');
          received += headerOctets(data.byteLength, false) + data.byteLength;
          events.frame(new Uint8Array(data));
        };
        ws.onerror = () => undefined; // what it has to say, its close says too
        ws.onclose = ({ code, reason }) => end(reason || `code ${code}`);
      }),
  };
}
