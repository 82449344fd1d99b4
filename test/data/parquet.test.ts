import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readRows } from '../../src/data/rows.ts';
import { file, refusal } from './fake.ts';

const FIXTURES = 'test/fixtures/parquet';
const read = (name: string) => Uint8Array.from(readFileSync(`${FIXTURES}/${name}`));
const expected = JSON.parse(readFileSync(`${FIXTURES}/rows.json`, 'utf8')) as Record<string, unknown>[];

describe('Parquet', () => {
  test.each(['snappy', 'gzip', 'zstd', 'none'])(
    'written by pyarrow with %s: every type, lists and structs, two row groups, small pages',
    (codec) => {
      const rows = readRows(file('a.parquet', read(`${codec}.parquet`)));
      expect(rows.map(({ columns }) => columns)).toEqual(expected);
      expect(rows.map(({ line }) => line)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    },
  );

  test('a view into a larger buffer, as Node reads small files, is read like a copy', () => {
    const bytes = read('snappy.parquet');
    const around = new Uint8Array(bytes.length + 16).fill(7);
    around.set(bytes, 8);
    const view = around.subarray(8, 8 + bytes.length);
    expect(readRows(file('a.parquet', view)).map(({ columns }) => columns)).toEqual(expected);
  });

  const whole = read('snappy.parquet');
  const damaged = whole.map((byte, i) => (i >= whole.length - 400 && i < whole.length - 8 ? byte ^ 0x5a : byte));
  test.each([
    ['text', new TextEncoder().encode('text,label\n'), /^DATA_INVALID: a.parquet: not Parquet, or cut short; get it/],
    ['nothing', new Uint8Array(0), /^DATA_INVALID: a.parquet: not Parquet/],
    ['a file cut short', whole.subarray(0, 1000), /^DATA_INVALID: a.parquet: not Parquet, or cut short/],
    ['its end alone', whole.subarray(-4), /^DATA_INVALID: a.parquet: cannot be read as Parquet \(.*\); write it again/],
    ['damaged metadata', damaged, /^DATA_INVALID: a.parquet: cannot be read as Parquet/],
  ])('%s is refused', (_, bytes, message) => {
    expect(refusal(() => readRows(file('a.parquet', bytes)))).toMatch(message);
  });
});
