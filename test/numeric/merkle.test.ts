import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { LEAF_ELEMENTS, leavesOf, merkleRoot, rootOf } from '../../src/numeric/merkle.ts';
import { integers } from './arbitrary.ts';

const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

test('an odd leaf moves up as it is', () => {
  const [a, b, c] = [1, 2, 3].map((x) => sha256(Uint8Array.of(x))) as [Uint8Array, Uint8Array, Uint8Array];
  const node = (l: Uint8Array, r: Uint8Array) => sha256(Uint8Array.of(1), l, r);
  expect(rootOf([a], sha256)).toEqual(a);
  expect(rootOf([a, b, c], sha256)).toEqual(node(node(a, b), c));
  expect(rootOf([a, b, c, a, b], sha256)).toEqual(node(node(node(a, b), node(c, a)), b));
  expect(() => rootOf([], sha256)).toThrow('"leaves"');
});

test('one bit anywhere, and where tensors part, change the root; a view into a larger array does not', () => {
  const q = integers(LEAF_ELEMENTS + 10, 5);
  const root = merkleRoot([q], sha256);
  expect(leavesOf(q, sha256).length).toBe(2);
  for (const at of [0, LEAF_ELEMENTS - 1, LEAF_ELEMENTS, q.length - 1]) {
    const other = q.slice();
    other[at]! ^= 1;
    expect(merkleRoot([other], sha256)).not.toEqual(root);
  }
  expect(merkleRoot([q.subarray(0, 7), q.subarray(7)], sha256)).not.toEqual(root);
  const larger = new Int32Array(q.length + 9);
  larger.set(q, 5);
  expect(merkleRoot([larger.subarray(5, 5 + q.length)], sha256)).toEqual(root);
});
