/**
 * DEFLATE by Node's zlib, at its quickest: floats that differ little from noise give no more at any other level.
 *
 * @module
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Compressor } from '../../ports.ts';

export const nodeCompressor: Compressor = {
  deflate: (bytes) => deflateRawSync(bytes, { level: 1 }),
  inflate(bytes, most) {
    try {
      return inflateRawSync(bytes, { maxOutputLength: most });
    } catch {
      return undefined;
    }
  },
};
