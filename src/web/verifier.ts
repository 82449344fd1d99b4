/**
 * SHA-256 and Ed25519 where there is no node:crypto: what reading a journal takes. WebCrypto has both, but answers later,
 * and a journal is read record by record.
 *
 * @module
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';
import type { Crypto } from '../ports.ts';

export const verifier: Pick<Crypto, 'sha256' | 'verify'> = {
  sha256(...parts) {
    const hash = sha256.create();
    for (const part of parts) hash.update(part);
    return hash.digest();
  },
  verify(publicKey, message, signature) {
    try {
      return ed25519.verify(signature, message, publicKey, { zip215: false });
    } catch {
      return false; // a key or a signature that is no point at all
    }
  },
};
