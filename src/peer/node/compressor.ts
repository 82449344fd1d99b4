/**
 * DEFLATE by Node's zlib, at its quickest: floats that differ little from noise give no more at any other level.
 *
 * @module
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Compressor } from '../../ports.ts';

/** A Buffer's `slice` is no copy, as an array's is. */
const plain = ({ buffer, byteOffset, length }: Buffer): Uint8Array => new Uint8Array(buffer, byteOffset, length);

export const nodeCompressor: Compressor = {
  deflate: (bytes) => plain(deflateRawSync(bytes, { level: 1 })),
  inflate(bytes, most) {
    try {
      return plain(inflateRawSync(bytes, { maxOutputLength: most }));
    } catch {
      return undefined;
    }
  },
};
