/**
 * DEFLATE by fflate, at its quickest, as in Node.
 *
 * @module
 */
import { deflateSync, Inflate } from 'fflate';
import { concatBytes } from '../../numeric/bytes.ts';
import type { Compressor } from '../../ports.ts';

/** What is unpacked between two looks at how much it has become: at most a thousand times as much. */
const STEP = 4096;

export const webCompressor: Compressor = {
  deflate: (bytes) => deflateSync(bytes, { level: 1 }),
  inflate(bytes, most) {
    const pieces: Uint8Array[] = [];
    let length = 0;
    const stream = new Inflate((piece) => {
      pieces.push(piece);
      length += piece.length;
    });
    try {
      for (let at = 0; length <= most; at += STEP) {
        const isLast = at + STEP >= bytes.length;
        stream.push(bytes.subarray(at, at + STEP), isLast);
        if (isLast) break;
      }
    } catch {
      return undefined;
    }
    return length > most ? undefined : concatBytes(...pieces);
  },
};
