import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes, equalBytes, fromHex, toHex } from '../../src/numeric/bytes.ts';
import { type Codec, codes, decode, encode, f64, list, unsigned, varint } from '../../src/numeric/codec.ts';
import { printable, text } from '../../src/numeric/text.ts';

const roundTrip = <T>(codec: Codec<T>, value: T): T => decode(codec, encode(codec, value, 'x'), 'x', 'FRAME_INVALID');

describe('codecs', () => {
  test('unsigned numbers are little-endian, up to six bytes', () => {
    expect(toHex(encode(unsigned(3), 0x0a0b0c, 'x'))).toBe('0c0b0a');
    for (const size of [1, 2, 3, 4, 6]) {
      const value = fc.bigInt({ min: 0n, max: 2n ** BigInt(8 * size) - 1n }).map(Number);
      fc.assert(fc.property(value, (x) => roundTrip(unsigned(size), x) === x));
      expect(() => encode(unsigned(size), 256 ** size, 'x')).toThrow(RangeError);
    }
  });

  test('varints are LEB128: the examples of the Wasm and DWARF texts, and all boundaries', () => {
    expect(toHex(encode(varint(), 624_485, 'x'))).toBe('e58e26');
    expect(toHex(encode(varint(), 128, 'x'))).toBe('8001');
    const max = Number.MAX_SAFE_INTEGER;
    for (let bits = 0; bits <= 53; bits++) {
      for (const value of [2 ** bits - 1, 2 ** bits].filter((x) => x <= max)) {
        expect(roundTrip(varint(max), value)).toBe(value);
        expect(encode(varint(max), value, 'x').length).toBe(Math.ceil(value.toString(2).length / 7));
      }
    }
    fc.assert(fc.property(fc.maxSafeNat(), (x) => roundTrip(varint(max), x) === x));
    for (const value of [-1, 0.5, Number.NaN, max + 1])
      expect(() => encode(varint(max), value, 'x')).toThrow(RangeError);
  });

  test('doubles keep their bits; a NaN with a message in it is refused', () => {
    fc.assert(fc.property(fc.double(), (x) => Object.is(roundTrip(f64, x), x)));
    expect(toHex(encode(f64, Number.NaN, 'x'))).toBe('000000000000f87f');
    const odd = fromHex('010000000000f87f');
    expect(() => decode(f64, odd, 'x', 'FRAME_INVALID')).toThrow(/x: is an unusual NaN/);
  });

  test('codes are two’s complement, all 256 of them', () => {
    const all = Int8Array.from({ length: 256 }, (_, i) => i - 128);
    expect(roundTrip(codes(1, 300), all)).toEqual(all);
    expect(toHex(encode(codes(1, 300), Int8Array.of(-128, -1, 0, 127), 'x'))).toBe('0480ff007f');
  });

  test('lists refuse more than they may hold, on both ways', () => {
    const few = list(unsigned(1), 2);
    expect(() => encode(few, [1, 2, 3], 'x')).toThrow(/"x.length" expected an integer from 0 to 2, got 3/);
    expect(() => decode(few, Uint8Array.of(3, 1, 2, 3), 'x', 'FRAME_INVALID')).toThrow(/x.length: is more than 2/);
  });

  test('faults name the field, and the byte counted from where the whole begins', () => {
    const pair = list(unsigned(2), 9);
    const read = () => decode(pair, Uint8Array.of(2, 1, 0, 5), 'pair', 'JOURNAL_CORRUPT', 100);
    expect(read).toThrow('JOURNAL_CORRUPT: pair[1]: needs 2 bytes, 1 are left (byte 103)');
  });

  test('printable makes any text fit, and cuts between characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(20), (value, max) => {
        const fit = printable(value, max);
        expect(roundTrip(text(max), fit)).toBe(fit);
      }),
    );
    expect(printable('a\nb\x1b🐦🐦', 9)).toBe('a b 🐦');
  });

  test('a byte order mark is text like any other', () => {
    expect(roundTrip(text(9), '\ufeffa')).toBe('\ufeffa');
  });
});

describe('bytes', () => {
  test('hexadecimal there and back; anything else is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (x) => {
        expect(fromHex(toHex(x))).toEqual(x);
      }),
    );
    for (const wrong of ['a', 'AB', '0x', ' 00', '00\n']) expect(() => fromHex(wrong)).toThrow(RangeError);
  });

  test('concatenation and equality', () => {
    expect(concatBytes(Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3))).toEqual(Uint8Array.of(1, 2, 3));
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1))).toBe(false);
  });
});
