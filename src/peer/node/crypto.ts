/**
 * SHA-256 and Ed25519 (RFC 8032) by node:crypto.
 *
 * @module
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { concatBytes } from '../../numeric/bytes.ts';
import type { Crypto } from '../../ports.ts';

/** DER of everything before the 32 bytes of a key (RFC 8410): node:crypto takes no bare keys synchronously. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

const der = (prefix: Uint8Array, key: Uint8Array, name: string): Buffer => {
  if (key.length !== 32) throw new RangeError(`"${name}" expected 32 bytes, got ${key.length}`);
  return Buffer.from(concatBytes(prefix, key));
};

const secretKey = (secret: Uint8Array): KeyObject =>
  createPrivateKey({ key: der(PKCS8, secret, 'secret'), format: 'der', type: 'pkcs8' });

const publicKey = (key: Uint8Array): KeyObject =>
  createPublicKey({ key: der(SPKI, key, 'publicKey'), format: 'der', type: 'spki' });

const plain = (buffer: Buffer): Uint8Array => new Uint8Array(buffer);

export const nodeCrypto: Crypto = {
  sha256(...parts) {
    const hash = createHash('sha256');
    for (const part of parts) hash.update(part);
    return plain(hash.digest());
  },
  sign: (secret, message) => plain(sign(null, message, secretKey(secret))),
  verify: (key, message, signature) => verify(null, message, publicKey(key), signature),
  publicKey(secret) {
    const spki = createPublicKey(secretKey(secret)).export({ format: 'der', type: 'spki' });
    return plain(spki.subarray(SPKI.length));
  },
};
