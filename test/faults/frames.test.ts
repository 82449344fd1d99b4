import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Splitter } from './frames.ts';

/** A binary frame, masked as clients do if there is a mask. */
function frameOf(payload: Uint8Array, mask?: Uint8Array): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : 4);
  head[0] = 0x82;
  head[1] = (mask ? 128 : 0) + Math.min(length, 126);
  if (length >= 126) head.writeUInt16BE(length, 2);
  return Buffer.concat([head, ...(mask ? [mask, payload.map((octet, i) => octet ^ mask[i & 3]!)] : [payload])]);
}

const UPGRADE = Buffer.from('GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n');
const PING = Buffer.of(0x89, 0);
const payloads = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 5 });
const mask = fc.option(fc.uint8Array({ minLength: 4, maxLength: 4 }), { nil: undefined });

test('frames come out whole and in order, however the stream was cut; nothing is added or lost', () => {
  fc.assert(
    fc.property(payloads, mask, fc.array(fc.nat(2000), { maxLength: 6 }), (messages, key, cuts) => {
      const stream = Buffer.concat([UPGRADE, ...messages.flatMap((one) => [frameOf(one, key), PING])]);
      // The head of a request comes in one piece.
      const at = [0, ...cuts.map((cut) => UPGRADE.length + cut), stream.length].sort((a, b) => a - b);
      const splitter = new Splitter();
      const pieces = at.slice(1).flatMap((end, i) => splitter.push(stream.subarray(at[i], end)));
      expect(Buffer.concat(pieces.map(({ bytes }) => bytes))).toEqual(stream);
      expect(pieces.flatMap(({ message }) => (message ? [message] : []))).toEqual(messages);
    }),
  );
});

test('what is not upgraded passes as it comes, and requests are known by their path', () => {
  const splitter = new Splitter();
  const request = Buffer.from('GET /code/journal?from=8 HTTP/1.1\r\nhost: a\r\n\r\n');
  expect(splitter.push(request)).toEqual([{ bytes: request, path: '/code/journal?from=8' }]);
  expect(splitter.push(Buffer.from('body'))).toEqual([{ bytes: Buffer.from('body') }]);
});
