import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { verifier } from '../../src/web/verifier.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

test('hashes parts as node:crypto does', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array()), (parts) => {
      expect(verifier.sha256(...parts)).toEqual(nodeCrypto.sha256(...parts));
    }),
  );
});

test('believes what node:crypto signed, and nothing else', () => {
  fc.assert(
    fc.property(bytes(32), fc.uint8Array({ minLength: 1 }), fc.nat({ max: 63 }), (secret, message, at) => {
      const key = nodeCrypto.publicKey(secret);
      const signature = nodeCrypto.sign(secret, message);
      expect(verifier.verify(key, message, signature)).toBe(true);
      expect(verifier.verify(key, Uint8Array.of(...message, 0), signature)).toBe(false);
      const damaged = signature.slice();
      damaged[at]! ^= 1;
      expect(verifier.verify(key, message, damaged)).toBe(false);
    }),
    { numRuns: 20 },
  );
});

test('a key or a signature of a wrong length is no exception but a no', () => {
  expect(verifier.verify(new Uint8Array(31), new Uint8Array(1), new Uint8Array(64))).toBe(false);
  expect(verifier.verify(new Uint8Array(32).fill(255), new Uint8Array(1), new Uint8Array(3))).toBe(false);
});
