import { expect, test } from 'vitest';
import { bytes, float, int, message, text } from '../../src/graph/protobuf.ts';

const hex = (b: Uint8Array) => Buffer.from(b).toString('hex');

// The examples of https://protobuf.dev/programming-guides/encoding.
test('fields have the bytes of the specification', () => {
  expect(hex(int(1, 150))).toBe('089601');
  expect(hex(text(2, 'testing'))).toBe('120774657374696e67');
  expect(hex(message(3, int(1, 150)))).toBe('1a03089601');
  expect(hex(int(1, -2))).toBe('08feffffffffffffffff01');
});

test('long fields, high field numbers and floats', () => {
  expect(hex(float(2, 1))).toBe('150000803f');
  expect(hex(int(20, 7))).toBe('a00107');
  expect(hex(int(1, 2 ** 53 - 1))).toBe('08ffffffffffffff0f');
  expect(hex(bytes(9, new Uint8Array(300))).slice(0, 6)).toBe('4aac02');
});
