/**
 * SHA-256 and Ed25519 (RFC 8032) in JavaScript: what browsers have built in is asynchronous, and is there on https only.
 *
 * @module
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';
import type { Crypto } from '../../ports.ts';

function checkSecret(secret: Uint8Array): void {
  if (secret.length !== 32) throw new RangeError(`"secret" expected 32 bytes, got ${secret.length}`);
}

export const webCrypto: Crypto = {
  sha256(...parts) {
    const hash = sha256.create();
    for (const part of parts) hash.update(part);
    return hash.digest();
  },
  sign(secret, message) {
    checkSecret(secret);
    return ed25519.sign(message, secret);
  },
  verify(key, message, signature) {
    if (signature.length !== 64) return false;
    // As the RFC has it, and OpenSSL: what only ZIP 215 accepts would split browsers from Node.
    return ed25519.verify(signature, message, key, { zip215: false });
  },
  publicKey(secret) {
    checkSecret(secret);
    return ed25519.getPublicKey(secret);
  },
};
