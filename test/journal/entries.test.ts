import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { entryCodec } from '../../src/journal/entries.ts';
import type { Entry } from '../../src/nouns.ts';
import { decode, encode } from '../../src/numeric/codec.ts';
import { entry } from './arbitraries.ts';
import { ENTRIES } from './fixture.ts';

const write = (value: Entry) => encode(entryCodec, value, 'entry');
const read = (bytes: Uint8Array) => decode(entryCodec, bytes, 'entry', 'JOURNAL_CORRUPT');
const outcome = (bytes: Uint8Array) => {
  try {
    return read(bytes);
  } catch (error) {
    return error as { code?: string };
  }
};

describe('entries ⇄ bytes', () => {
  test('decode undoes encode, for every type', () => {
    fc.assert(
      fc.property(entry, (value) => {
        expect(read(write(value))).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  test('what decodes encodes to the same bytes: a value has one encoding', () => {
    const near = entry.chain((value) => {
      const bytes = write(value);
      const at = fc.nat(bytes.length - 1);
      return fc.tuple(fc.constant(bytes), at, fc.integer({ min: 0, max: 255 }));
    });
    let valid = 0;
    fc.assert(
      fc.property(near, ([bytes, at, byte]) => {
        const changed = bytes.with(at, byte);
        const value = outcome(changed);
        if ('code' in value) {
          expect(value.code).toBe('JOURNAL_CORRUPT');
        } else {
          valid++;
          expect(write(value as Entry)).toEqual(changed);
        }
      }),
      { numRuns: 1000 },
    );
    expect(valid).toBeGreaterThan(100);
  });

  test('every truncation and every byte too many is refused', () => {
    for (const value of ENTRIES) {
      const bytes = write(value);
      for (let length = 0; length < bytes.length; length++) {
        expect(outcome(bytes.subarray(0, length)), `${value.type} ${length}`).toHaveProperty('code', 'JOURNAL_CORRUPT');
      }
      expect(outcome(Uint8Array.of(...bytes, 0)), value.type).toHaveProperty('code', 'JOURNAL_CORRUPT');
    }
  });

  test('random bytes never decode to nonsense', () => {
    const type = fc.integer({ min: 0, max: 7 });
    fc.assert(
      fc.property(type, fc.uint8Array({ maxLength: 80 }), (first, rest) => {
        const bytes = Uint8Array.of(first, ...rest);
        const value = outcome(bytes);
        if ('code' in value) expect(value.code).toBe('JOURNAL_CORRUPT');
        else expect(write(value as Entry)).toEqual(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  test('a huge count in a short body is refused before anything is allocated', () => {
    const huge = [0xff, 0xff, 0x03]; // 65,535
    const header = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 127];
    expect(() => read(Uint8Array.of(4, ...header, ...huge))).toThrow(/segments.length: 65535 do not fit into 0 bytes/);
    expect(() => read(Uint8Array.of(4, ...header, 1, 0, 0, ...huge))).toThrow(/codes: needs 65535 bytes, 0 are left/);
  });

  test('metrics keep every double, their names are sorted, and no name is special', () => {
    const metrics = { z: Number.NaN, a: -0, m: Number.NEGATIVE_INFINITY, ['__proto__']: 5e-324 };
    const bytes = write({ type: 'evaluation', round: 1, slot: 2, metrics });
    const back = read(bytes);
    expect(back).toEqual({ type: 'evaluation', round: 1, slot: 2, metrics });
    expect(Object.keys((back as { metrics: object }).metrics)).toEqual(['__proto__', 'a', 'm', 'z']);
    const swapped = Uint8Array.of(5, 1, 2, 2, 1, 98, ...new Array(8).fill(0), 1, 97, ...new Array(8).fill(0));
    expect(() => read(swapped)).toThrow(/not in order/);
  });

  test('text that could deceive a terminal is refused on both ways', () => {
    for (const name of ['a\x1b[2J', 'a\nb', '\u202egnp.exe', '\x7f']) {
      expect(() => write({ type: 'admit', slot: 0, key: new Uint8Array(32), name })).toThrow(RangeError);
      const bytes = new TextEncoder().encode(name);
      const record = Uint8Array.of(2, 0, ...new Uint8Array(32), bytes.length, ...bytes);
      expect(() => read(record)).toThrow(/name: is not printable/);
    }
    expect(() => read(Uint8Array.of(2, 0, ...new Uint8Array(32), 1, 0xff))).toThrow(/name: is not UTF-8/);
  });

  test('fields out of their limits are the caller’s mistake, by name', () => {
    const key = new Uint8Array(32);
    expect(() => write({ type: 'admit', slot: -1, key, name: '' })).toThrow(/"entry.admit.slot" expected an integer/);
    expect(() => write({ type: 'admit', slot: 2 ** 32, key, name: '' })).toThrow(RangeError);
    expect(() => write({ type: 'admit', slot: 0, key: new Uint8Array(31), name: '' })).toThrow(
      /expected 32 bytes, got 31/,
    );
    expect(() => write({ type: 'admit', slot: 0, key, name: 'x'.repeat(65) })).toThrow(/at most 64 bytes, got 65/);
  });
});
