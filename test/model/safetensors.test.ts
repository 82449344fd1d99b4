import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openCheckpoint, shardNames } from '../../src/model/checkpoint.ts';
import { toFloat32 } from '../../src/model/floats.ts';
import { encodeHeader, MAX_HEADER_BYTES, openSafetensors, type StoredSpec } from '../../src/model/safetensors.ts';
import { type ByteSource, memorySource } from '../../src/model/source.ts';

/** A file with this header text and so many bytes of data, all 7. */
function file(header: string, dataBytes = 0): ByteSource {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + dataBytes).fill(7);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return memorySource('x.safetensors', bytes);
}
const header = (...entries: [string, unknown][]): string => JSON.stringify(Object.fromEntries(entries));
const tensor = (dtype: string, shape: unknown, ...data_offsets: unknown[]) => ({ dtype, shape, data_offsets });

describe('what is read', () => {
  test('tensors in the order of their data, whatever the order of the header', async () => {
    const two = header(
      ['b', tensor('F32', [2], 4, 12)],
      ['__metadata__', { format: 'pt' }],
      ['a', tensor('F16', [1, 2], 0, 4)],
    );
    const found = await openSafetensors(file(two, 12));
    expect(found.map(({ name, shape, bytes }) => ({ name, shape, bytes }))).toEqual([
      { name: 'a', shape: [1, 2], bytes: 4 },
      { name: 'b', shape: [2], bytes: 8 },
    ]);
  });
  test('no tensors, scalars, empty tensors, odd names', async () => {
    expect(await openSafetensors(file('{}'))).toEqual([]);
    const odd = header(['', tensor('F32', [], 0, 4)], ['toString', tensor('F32', [0, 5], 4, 4)]);
    expect((await openSafetensors(file(odd, 4))).map(({ name }) => name)).toEqual(['', 'toString']);
    const proto = '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}';
    expect((await openSafetensors(file(proto, 1))).map(({ name }) => name)).toEqual(['__proto__']);
  });
  test('only the header and the tensors asked for, so a file need not fit into memory', async () => {
    const whole = file(header(['a', tensor('F32', [1], 0, 4)], ['b', tensor('F32', [100], 4, 404)]), 404);
    const reads: number[] = [];
    const read = (at: number, n: number) => {
      reads.push(n);
      return whole.read(at, n);
    };
    const checkpoint = await openCheckpoint([{ ...whole, read }]);
    await checkpoint.read('a');
    expect(reads.slice(2)).toEqual([4]);
    expect(reads[0]! + reads[1]! + 404).toBe(whole.size);
  });
});

describe('what is written is read back', () => {
  const specs = fc
    .uniqueArray(
      fc.string({ unit: 'grapheme', maxLength: 12 }).filter((name) => name !== '__metadata__'),
      { maxLength: 6 },
    )
    .chain((names) =>
      fc.tuple(
        ...names.map((name) =>
          fc.record({
            name: fc.constant(name),
            dtype: fc.constantFrom('F32', 'F16', 'BF16', 'U8', 'I64'),
            shape: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }),
          }),
        ),
      ),
    );
  test('any names, dtypes and shapes; data starts at a multiple of 8', async () => {
    await fc.assert(
      fc.asyncProperty(specs, async (tensors) => {
        const head = encodeHeader(tensors as StoredSpec[]);
        expect(head.length % 8).toBe(0);
        const width = { F32: 4, F16: 2, BF16: 2, U8: 1, I64: 8 };
        const data = tensors.reduce(
          (sum, { dtype, shape }) => sum + shape.reduce((a, b) => a * b, width[dtype as 'F32']),
          0,
        );
        const bytes = new Uint8Array(head.length + data);
        bytes.set(head);
        const found = await openSafetensors(memorySource('x', bytes));
        expect(found.map(({ name, dtype, shape }) => ({ name, dtype, shape }))).toEqual(tensors);
      }),
    );
  });
});

describe('hostile files are refused by name', () => {
  const invalid = async (source: ByteSource, message: RegExp) => {
    await expect(openSafetensors(source)).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringMatching(message),
    });
  };
  const long = (length: bigint, total = 64): ByteSource => {
    const bytes = new Uint8Array(total);
    new DataView(bytes.buffer).setBigUint64(0, length, true);
    return memorySource('x', bytes);
  };
  test.each([
    ['nothing', memorySource('x', new Uint8Array())],
    ['7 bytes', memorySource('x', new Uint8Array(7))],
    ['a header longer than the file', long(57n)],
    ['a header of 2^64 - 1 bytes', long(2n ** 64n - 1n)],
    ['a header over the limit', { ...long(BigInt(MAX_HEADER_BYTES) + 1n), size: 2 * MAX_HEADER_BYTES }],
  ])('%s', (_, source) => invalid(source, /header does not fit/));
  test.each([
    ['not JSON', file('{"a":')],
    ['not UTF-8', long(2n, 10)],
    ['empty', file('')],
  ])('a header that is %s', (_, source) => invalid(source, /not JSON|not an object/));
  test.each(['null', '[]', '3', '"x"'])('a header that is %s', (json) => invalid(file(json), /not an object/));
  test.each([
    ['null', null],
    ['a list', []],
    ['no dtype', { shape: [1], data_offsets: [0, 4] }],
    ['a shape that is no list', tensor('F32', 4, 0, 4)],
    ['a negative axis', tensor('F32', [-1], 0, 4)],
    ['two negative axes', tensor('F32', [-1, -1], 0, 4)],
    ['half an axis', tensor('F32', [0.5, 2], 0, 4)],
    ['an axis of text', tensor('F32', ['1'], 0, 4)],
    ['too many axes', tensor('F32', Array(17).fill(1), 0, 4)],
    ['one offset', tensor('F32', [1], 0)],
    ['three offsets', tensor('F32', [1], 0, 4, 4)],
    ['a negative offset', tensor('F32', [1], -4, 0)],
    ['offsets the wrong way round', tensor('F32', [1], 4, 0)],
    ['offsets that are no numbers', tensor('F32', [1], '0', '4')],
    ['offsets past 2^53', tensor('F32', [1], 2 ** 53, 2 ** 53 + 4)],
    ['a length that the shape contradicts', tensor('F32', [2], 0, 4)],
    ['a length that the dtype contradicts', tensor('F16', [1], 0, 4)],
    ['a product past 2^53 that rounds to fit', tensor('U8', [2 ** 53 - 1, 2 ** 53 - 1], 0, 4)],
    ['a start behind a hole', tensor('F32', [1], 4, 8)],
    ['an end behind the file', tensor('F32', [2], 0, 8)],
    ['a tail that nothing describes', tensor('F32', [0], 0, 0)],
  ])('%s', async (_, entry) => {
    await expect(openSafetensors(file(header(['w', entry]), 4))).rejects.toMatchObject({ name: 'Fault' });
  });
  test('overlaps, holes, and a name given twice, of which JSON keeps one', async () => {
    const pair = (from: number) => header(['a', tensor('F32', [2], 0, 8)], ['b', tensor('F32', [2], from, from + 8)]);
    await openSafetensors(file(pair(8), 16));
    await invalid(file(pair(4), 12), /overlaps another or leaves a hole/);
    await invalid(file(pair(0), 8), /overlaps/);
    await invalid(file(pair(12), 20), /hole/);
    const twice =
      '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}';
    await invalid(file(twice, 8), /hole/);
  });
  test('an unknown dtype is named', async () => {
    const source = file(header(['w', tensor('F4', [8], 0, 4)]), 4);
    await expect(openSafetensors(source)).rejects.toThrow(/MODEL_UNSUPPORTED.*"w".*"F4"/);
  });
  test('random bytes, and any one byte of a good file changed, give tensors inside the file or a Fault', async () => {
    const good = header(['a', tensor('F32', [2], 0, 8)], ['b', tensor('F16', [2], 8, 12)]);
    const bytes = await file(good, 12).read(0, 8 + good.length + 12);
    const check = async (data: Uint8Array): Promise<void> => {
      const found = await openSafetensors(memorySource('x', data)).catch((error: Error) => error);
      if (found instanceof Error) expect(found.name).toBe('Fault');
      else for (const { offset, bytes: n } of found) expect(offset >= 8 && offset + n <= data.length).toBe(true);
    };
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), check));
    for (let i = 0; i < bytes.length; i++)
      await check(bytes.map((byte, j) => (i === j ? byte ^ (1 << (i % 8)) : byte)));
  });
});

describe('checkpoints of several files', () => {
  test('tensors come from whichever file has them; one in two files is refused', async () => {
    const part = (name: string) => file(header([name, tensor('F32', [1], 0, 4)]), 4);
    const checkpoint = await openCheckpoint([part('a'), part('b')]);
    expect([...checkpoint.tensors.keys()]).toEqual(['a', 'b']);
    expect(await checkpoint.readBytes('b')).toEqual(new Uint8Array(4).fill(7));
    await expect(openCheckpoint([part('a'), part('a')])).rejects.toThrow(/MODEL_INVALID.*"a" is both in/);
    await expect(async () => checkpoint.read('c')).rejects.toThrow(/MODEL_INVALID.*no tensor "c"/);
  });
  test('weights must be floats', async () => {
    const checkpoint = await openCheckpoint([file(header(['a', tensor('I32', [1], 0, 4)]), 4)]);
    await expect(checkpoint.read('a')).rejects.toThrow(/MODEL_UNSUPPORTED.*"a" is I32/);
  });
  test('an index names files beside it', () => {
    const index = (...shards: unknown[]) => JSON.stringify({ weight_map: Object.fromEntries(shards.entries()) });
    expect(shardNames(index('b.safetensors', 'a.safetensors', 'b.safetensors'))).toEqual([
      'a.safetensors',
      'b.safetensors',
    ]);
    for (const bad of [
      '../a.safetensors',
      '/a.safetensors',
      'a/b.safetensors',
      '.safetensors',
      'a.bin',
      'C:\\a.safetensors',
      3,
      null,
    ])
      expect(() => shardNames(index(bad)), String(bad)).toThrow(/^MODEL_INVALID/);
    for (const bad of ['', '{', 'null', '{}', '{"weight_map":{}}', '{"weight_map":3}', '{"weight_map":null}'])
      expect(() => shardNames(bad), bad).toThrow(/^MODEL_INVALID/);
  });
});

describe('floats are widened exactly', () => {
  const pairs = (words: readonly number[]) => new Uint8Array(Uint16Array.from(words).buffer);
  const halves = Array.from({ length: 65536 }, (_, bits) => bits);

  test('F16: landmarks', () => {
    const landmarks = [
      [0x3c00, 1],
      [0xc000, -2],
      [0x7bff, 65504],
      [0x0400, 2 ** -14],
      [0x03ff, 2 ** -14 - 2 ** -24],
      [0x0001, 2 ** -24],
      [0x8001, -(2 ** -24)],
      [0x3555, 0.333251953125],
      [0x8000, -0],
      [0x7c00, Number.POSITIVE_INFINITY],
      [0xfc00, Number.NEGATIVE_INFINITY],
      [0x7e00, Number.NaN],
    ] as const;
    expect([...toFloat32('F16', pairs(landmarks.map(([bits]) => bits)))]).toEqual(landmarks.map(([, value]) => value));
  });
  test('F16: all 2^16 by the definition of binary16', () => {
    const got = toFloat32('F16', pairs(halves));
    for (const bits of halves) {
      const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
      const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
      const value = exponent < 31 ? magnitude : fraction === 0 ? Number.POSITIVE_INFINITY : Number.NaN;
      if (!Object.is(got[bits], bits & 0x8000 ? -value : value)) expect(got[bits], bits.toString(16)).toBe(value);
    }
  });
  test('BF16: the upper half of an F32', () => {
    const bits = new Uint32Array(toFloat32('BF16', pairs(halves.filter((b) => (b & 0x7f80) !== 0x7f80))).buffer);
    expect([...bits]).toEqual(halves.filter((b) => (b & 0x7f80) !== 0x7f80).map((b) => (b << 16) >>> 0));
  });
  test('F32: the bits, from any alignment, and never a view of the file', () => {
    const bytes = Buffer.from([9, 0, 0, 128, 63, 0, 0, 32, 192]).subarray(1);
    const got = toFloat32('F32', bytes);
    expect([...got]).toEqual([1, -2.5]);
    got[0] = 5;
    expect(bytes[3]).toBe(63);
  });
});
