import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFloats, encodeFloats, FORMATS, formatBytes } from '../../src/compress/formats.ts';
import type { Format } from '../../src/nouns.ts';

const values = fc
  .array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }), { minLength: 1, maxLength: 700 })
  .map((list) => Float32Array.from(list));

/** Largest error of a value of magnitude `size` in a block whose largest is `peak`. */
const BOUND: Readonly<Record<Format, (size: number, peak: number) => number>> = {
  f32: () => 0,
  f16: (size, peak) => Math.max(size * 2 ** -11, peak * 2 ** -24),
  int8: (_, peak) => peak / 127,
  e3m0: (size, peak) => Math.max(size / 3, peak / 64),
};

const roundTrip = (format: Format, x: Float32Array): Float32Array =>
  decodeFloats(format, encodeFloats(format, x), x.length);

describe.each(FORMATS)('%s', (format) => {
  test('keeps every value within its bound', () => {
    fc.assert(
      fc.property(values, (x) => {
        const y = roundTrip(format, x);
        for (let first = 0; first < x.length; first += 256) {
          const block = x.subarray(first, first + 256);
          const peak = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          for (const [i, value] of block.entries()) {
            const error = Math.abs(y[first + i]! - value);
            // Below 2^-128 a scale has no smaller step.
            expect(error).toBeLessThanOrEqual(BOUND[format](Math.abs(value), peak) + 2 ** -127);
          }
        }
      }),
    );
  });

  test('what was decoded stays what it is', () => {
    fc.assert(
      fc.property(values, (x) => {
        const y = roundTrip(format, x);
        const again = roundTrip(format, y);
        for (let first = 0; first < y.length; first += 256) {
          const block = y.subarray(first, first + 256);
          const peak = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          // A largest value that f16 has rounded up to a power of two has another scale, whose smallest step is twice as wide.
          const slack = format === 'f16' ? peak * 2 ** -24 : 0;
          for (const [i, value] of block.entries())
            expect(Math.abs(again[first + i]! - value)).toBeLessThanOrEqual(slack);
        }
      }),
    );
  });

  test('zeros stay zeros, and the length is what it says', () => {
    expect([...roundTrip(format, new Float32Array(300))].every((value) => value === 0)).toBe(true);
    for (const n of [0, 1, 255, 256, 257, 1000])
      expect(encodeFloats(format, new Float32Array(n))).toHaveLength(formatBytes(format, n));
  });

  test('what is not finite is refused on both ways', () => {
    expect(() => encodeFloats(format, Float32Array.of(1, Number.NaN))).toThrow(RangeError);
    expect(() => encodeFloats(format, Float32Array.of(Number.POSITIVE_INFINITY))).toThrow(RangeError);
    expect(() => decodeFloats(format, new Uint8Array(3), 17)).toThrow(/17 values/);
  });
});

describe('formats', () => {
  test('an infinity in f32, and a scale that leads to one, are refused by code', () => {
    expect(() => decodeFloats('f32', Uint8Array.of(0, 0, 0x80, 0x7f), 1)).toThrow(/which no peer may send/);
    expect(() => decodeFloats('int8', Uint8Array.of(127, 127), 1)).toThrow(/which no peer may send/);
  });
  test('e3m0 is the nearest of 0 and seven powers of two', () => {
    const levels = [0, ...Array.from({ length: 7 }, (_, i) => 2 ** (i - 6))];
    const x = Float32Array.from({ length: 256 }, (_, i) => i / 255);
    const y = roundTrip('e3m0', x);
    for (const [i, value] of x.entries()) {
      const best = Math.min(...levels.map((level) => Math.abs(level - value)));
      expect(Math.abs(y[i]! - value)).toBeCloseTo(best, 7);
    }
  });
  test('half a byte, one, two and four a value, and a scale for 256', () => {
    expect(FORMATS.map((format) => formatBytes(format, 2560))).toEqual([10240, 5130, 2570, 1290]);
  });
});
