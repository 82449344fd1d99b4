import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readRows, textOf } from '../../src/data/rows.ts';
import { file, refusal } from './fake.ts';

const rows = (name: string, text: string | Uint8Array) => readRows(file(name, text));

describe('rows of a file', () => {
  test('JSONL: one object a line, blank lines skipped, lines counted as editors do', () => {
    expect(rows('a.jsonl', '\ufeff{"t":"x","label":1}\r\n\n{"t":"y\\n","label":0}')).toEqual([
      { line: 1, columns: { t: 'x', label: 1 } },
      { line: 3, columns: { t: 'y\n', label: 0 } },
    ]);
  });

  test('CSV: RFC 4180 quotes, and the line a record starts on', () => {
    expect(rows('a.CSV', '\ufefft,label\r\n"a, ""b""\nc",1\r\n\r\nd,0\r\n')).toEqual([
      { line: 2, columns: { t: 'a, "b"\nc', label: '1' } },
      { line: 5, columns: { t: 'd', label: '0' } },
    ]);
  });

  test('TSV: quotes and commas are text', () => {
    expect(rows('a.tsv', 'label\tt\r\n0\t"quoted" , and "so\r\n1\tplain\r\n')).toEqual([
      { line: 2, columns: { label: '0', t: '"quoted" , and "so' } },
      { line: 3, columns: { label: '1', t: 'plain' } },
    ]);
  });

  test.each([
    ['a.jsonl', '{"a":1}\n{"a":\n', /^DATA_INVALID: a.jsonl:2: not JSON \(.*\); each line must be one JSON object$/],
    ['a.jsonl', '{"a":1}\n[1]\n', /^DATA_INVALID: a.jsonl:2: not a JSON object/],
    ['a.jsonl', 'null', /^DATA_INVALID: a.jsonl:1: not a JSON object/],
    ['a.jsonl', '', /^DATA_INVALID: a.jsonl: holds no rows; give/],
    ['a.csv', 'a,b\n', /^DATA_INVALID: a.csv: holds no rows/],
    ['a.csv', '', /^DATA_INVALID: a.csv: holds no rows/],
    ['a.csv', 'a,b\n1,2\n3\n', /^DATA_INVALID: a.csv:3: has 1 columns, the first line names 2; fix/],
    ['a.csv', 'a,a\n1,2\n', /^DATA_INVALID: a.csv:1: two columns are called "a"/],
    ['a.csv', 'a,b\n1,2\n3,"x\n', /^DATA_INVALID: a.csv:3: Quote Not Closed.*; quote fields as RFC 4180 says$/],
    ['a.csv', 'a,b\n1,x"y\n', /^DATA_INVALID: a.csv:2: Invalid Opening Quote/],
    ['a.tsv', 'a\tb\n1\t2\t3\n', /^DATA_INVALID: a.tsv:2: has 3 columns/],
    [
      'a.arrow',
      'ARROW1',
      /^DATA_INVALID: a.arrow: rows are read from .jsonl, .ndjson, .json, .csv, .tsv, .parquet, .label, .all files; rename/,
    ],
    ['TREC', '0 what', /^DATA_INVALID: TREC: rows are read from/],
  ])('%s %j is refused', (name, text, message) => {
    expect(refusal(() => rows(name, text))).toMatch(message);
  });

  test('bytes that are not UTF-8 are refused with their line', () => {
    const bytes = Uint8Array.of(0x61, 0x0a, 0xc3, 0xa9, 0x0a, 0x63, 0xe9, 0x0a, 0x64);
    expect(refusal(() => textOf(file('latin.txt', bytes)))).toBe(
      'DATA_INVALID: latin.txt:3: not UTF-8; convert the file, as with iconv -t UTF-8',
    );
  });

  const SST2 = '../shared/data/sst2';
  test.skipIf(!existsSync(SST2))(`${SST2}: every line of the TSV files is a row`, () => {
    const read = (name: string) => rows(name, readFileSync(`${SST2}/${name}`));
    const [train, dev, held] = ['train.tsv', 'dev.tsv', 'test.tsv'].map(read);
    expect([train!.length, dev!.length, held!.length]).toEqual([67349, 872, 1821]);
    expect(train![0]).toEqual({
      line: 2,
      columns: { label: '0', sentence: 'hide new secretions from the parental units' },
    });
    expect(new Set(train!.map(({ columns }) => columns['label']))).toEqual(new Set(['0', '1']));
  });

  const TREC = '../shared/data/trec/TREC.train.all';
  test.skipIf(!existsSync(TREC))(`${TREC}: is Latin-1, and refused as such`, () => {
    expect(refusal(() => rows('trec.tsv', readFileSync(TREC)))).toMatch(/^DATA_INVALID: trec.tsv:\d+: not UTF-8/);
  });
});
