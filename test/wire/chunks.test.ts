import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CHUNK_WEIGHTS, MAX_CHUNKS } from '../../src/nouns.ts';
import { concatBytes } from '../../src/numeric/bytes.ts';
import { nodeCompressor } from '../../src/peer/node/compressor.ts';
import type { Compressor } from '../../src/ports.ts';
import { chunkLengths, decodeOffer, encodeOffer, MAX_CHUNK_BYTES, pack, unpack } from '../../src/wire/chunks.ts';
import { integers } from '../numeric/arbitrary.ts';

/** Bytes that no compressor makes shorter. */
const noise = (length: number, seed = 1): Uint8Array =>
  new Uint8Array(integers(Math.ceil(length / 4), seed).buffer).subarray(0, length);

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe('offers ⇄ octets', () => {
  test('decode undoes encode', () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), fc.array(hash, { maxLength: 9 }), (count, hashes) => {
        const codes = encodeOffer({ count, hashes });
        expect(codes).toHaveLength(4 + 32 * hashes.length);
        expect(decodeOffer(codes)).toEqual({ count, hashes });
      }),
    );
  });

  test('what decodes encodes to the same octets, wherever they lie in memory', () => {
    fc.assert(
      fc.property(fc.nat(5), fc.nat(7), (hashes, before) => {
        const around = new Int8Array(noise(before + 4 + 32 * hashes + 3, before + 1));
        const codes = around.subarray(before, before + 4 + 32 * hashes);
        expect(encodeOffer(decodeOffer(codes))).toEqual(Int8Array.from(codes));
      }),
    );
  });

  test('hashes stay what they are when the frame they came in is used again', () => {
    const codes = encodeOffer({ count: 1, hashes: [new Uint8Array(32).fill(7)] });
    const { hashes } = decodeOffer(codes);
    codes.fill(0);
    expect(hashes).toEqual([new Uint8Array(32).fill(7)]);
  });

  test('the count is four bytes, the least first', () => {
    expect([...encodeOffer({ count: 0x01020304, hashes: [] })]).toEqual([4, 3, 2, 1]);
  });

  test.each([
    ['nothing', 0],
    ['less than a count', 3],
    ['a byte too many', 5],
    ['half a hash', 4 + 32 + 16],
    ['one hash more than a vector has chunks', 4 + 32 * (MAX_CHUNKS + 1)],
  ])('%s is refused by code', (_, length) => {
    expect(() => decodeOffer(new Int8Array(length))).toThrow(expect.objectContaining({ code: 'FRAME_INVALID' }));
  });

  test('as many hashes as a vector may have chunks are taken', () => {
    expect(decodeOffer(new Int8Array(4 + 32 * MAX_CHUNKS)).hashes).toHaveLength(MAX_CHUNKS);
  });
});

test('the chunks of a vector are whole but for the last, and are all of it', () => {
  expect(chunkLengths(0)).toEqual([]);
  expect(chunkLengths(CHUNK_WEIGHTS)).toEqual([CHUNK_WEIGHTS]);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 * CHUNK_WEIGHTS }), (n) => {
      const lengths = chunkLengths(n);
      expect(lengths.reduce((a, b) => a + b, 0)).toBe(n);
      expect(lengths.slice(0, -1).every((length) => length === CHUNK_WEIGHTS)).toBe(true);
      expect(lengths.at(-1)).toBeGreaterThan(0);
    }),
  );
});

describe('packing', () => {
  const back = (bytes: Uint8Array): Uint8Array => unpack(pack(bytes, nodeCompressor), nodeCompressor);

  test('unpack undoes pack, for bytes of any kind and length', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.nat(40_000), fc.nat(1000)).map(([length, seed]) => noise(length, seed)),
      fc.tuple(fc.nat(40_000), fc.nat(255)).map(([length, byte]) => new Uint8Array(length).fill(byte)),
      fc.nat(20_000).map((length) => Uint8Array.from({ length }, (_, i) => (i % 3 === 0 ? i : 0))),
    );
    fc.assert(
      fc.property(bytes, (x) => {
        expect(same(back(x), x)).toBe(true);
      }),
    );
  });

  test('what repeats itself becomes short, noise one byte longer', () => {
    const zeros = pack(new Uint8Array(MAX_CHUNK_BYTES), nodeCompressor);
    expect(zeros[0]).toBe(1);
    expect(zeros.length).toBeLessThan(MAX_CHUNK_BYTES / 100);
    const random = pack(noise(MAX_CHUNK_BYTES), nodeCompressor);
    expect(random[0]).toBe(0);
    expect(random).toHaveLength(1 + MAX_CHUNK_BYTES);
  });

  test('of what looks like noise no more than a sample is given to the compressor', () => {
    const sizes: number[] = [];
    const counting: Compressor = {
      ...nodeCompressor,
      deflate(bytes) {
        sizes.push(bytes.length);
        return nodeCompressor.deflate(bytes);
      },
    };
    pack(noise(MAX_CHUNK_BYTES), counting);
    expect(sizes).toEqual([8192]);
  });

  test('a chunk that is noise at its beginning only is compressed all the same', () => {
    const bytes = new Uint8Array(MAX_CHUNK_BYTES);
    bytes.set(noise(MAX_CHUNK_BYTES / 4));
    const packed = pack(bytes, nodeCompressor);
    expect(packed.length).toBeLessThan(MAX_CHUNK_BYTES / 3);
    expect(same(unpack(packed, nodeCompressor), bytes)).toBe(true);
  });
});

describe('what is no packed chunk is refused by code', () => {
  const invalid = expect.objectContaining({ code: 'SHARE_INVALID' });
  const plain = (bytes: Uint8Array): Uint8Array => concatBytes(Uint8Array.of(0), bytes);
  const deflated = (bytes: Uint8Array): Uint8Array => concatBytes(Uint8Array.of(1), deflateRawSync(bytes));

  test('garbage, of every method', () => {
    for (const bytes of [[], [2, 0, 0], [255], [1], [1, 0xff, 0xff, 0xff], [1, 7]])
      expect(() => unpack(Uint8Array.from(bytes), nodeCompressor), String(bytes)).toThrow(invalid);
  });

  test('anything at all either unpacks or is refused: nothing else is thrown', () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 1, 2), fc.uint8Array({ maxLength: 60 }), (method, body) => {
        try {
          expect(unpack(Uint8Array.of(method, ...body), nodeCompressor).length).toBeLessThanOrEqual(MAX_CHUNK_BYTES);
        } catch (error) {
          expect(error).toMatchObject({ code: 'SHARE_INVALID' });
        }
      }),
      { numRuns: 500 },
    );
  });

  test('DEFLATE that was cut off', () => {
    const whole = deflated(noise(5000));
    expect(() => unpack(whole.subarray(0, whole.length - 9), nodeCompressor)).toThrow(invalid);
  });

  test('a chunk as long as any may be is taken, a byte more is not, packed or plain', () => {
    const longest = new Uint8Array(MAX_CHUNK_BYTES);
    const longer = new Uint8Array(MAX_CHUNK_BYTES + 1);
    for (const make of [deflated, plain]) {
      expect(same(unpack(make(longest), nodeCompressor), longest)).toBe(true);
      expect(() => unpack(make(longer), nodeCompressor)).toThrow(invalid);
    }
  });

  test('a bomb is given up at the length of a chunk', () => {
    const bomb = deflated(new Uint8Array(64 * MAX_CHUNK_BYTES));
    expect(bomb.length).toBeLessThan(MAX_CHUNK_BYTES);
    expect(() => unpack(bomb, nodeCompressor)).toThrow(invalid);
    const limits: number[] = [];
    const asked: Compressor = {
      ...nodeCompressor,
      inflate(bytes, most) {
        limits.push(most);
        return nodeCompressor.inflate(bytes, most);
      },
    };
    expect(() => unpack(bomb, asked)).toThrow(invalid);
    expect(limits).toEqual([MAX_CHUNK_BYTES]);
    expect(nodeCompressor.inflate(bomb.subarray(1), 64 * MAX_CHUNK_BYTES - 1)).toBeUndefined();
    expect(nodeCompressor.inflate(bomb.subarray(1), 64 * MAX_CHUNK_BYTES)).toHaveLength(64 * MAX_CHUNK_BYTES);
  });
});
