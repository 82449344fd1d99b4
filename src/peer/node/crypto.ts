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

/** Keys kept in the form that OpenSSL wants; making that takes longer than to sign. Enough for all peers of a run. */
const MAX_KEYS = 4096;

function keyMaker(prefix: Uint8Array, name: string, make: (der: Buffer) => KeyObject): (key: Uint8Array) => KeyObject {
  const made = new Map<string, KeyObject>();
  return (key) => {
    if (key.length !== 32) throw new RangeError(`"${name}" expected 32 bytes, got ${key.length}`);
    const id = String(key);
    const known = made.get(id);
    if (known !== undefined) return known;
    if (made.size >= MAX_KEYS) made.clear();
    const object = make(Buffer.from(concatBytes(prefix, key)));
    made.set(id, object);
    return object;
  };
}

const secretKey = keyMaker(PKCS8, 'secret', (key) => createPrivateKey({ key, format: 'der', type: 'pkcs8' }));
const publicKey = keyMaker(SPKI, 'publicKey', (key) => createPublicKey({ key, format: 'der', type: 'spki' }));

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
