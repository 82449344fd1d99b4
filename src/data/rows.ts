/**
 * Tables as files: JSONL, JSON, CSV, TSV, Parquet and TREC's lines → rows with named columns.
 *
 * CSV is RFC 4180. TSV is IANA text/tab-separated-values: a quote is a character like any other. The first line of
 * either names the columns. A JSON file is an array of rows, or one row: what nests them is taken apart by the task.
 *
 * @module
 */
import { CsvError, parse } from 'csv-parse/browser/esm/sync';
import { Fault } from '../faults.ts';
import { readParquet } from './parquet.ts';

/** A file, already read. */
export interface DataFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface Row {
  /** From 1, as editors count; in Parquet, of the row. */
  readonly line: number;
  readonly columns: Readonly<Record<string, unknown>>;
}

/** `file:line: what is wrong; what to do`. */
export const dataFault = (file: string, line: number, detail: string): Fault =>
  new Fault('DATA_INVALID', `${file}:${line}: ${detail}`);

/** UTF-8 text of a file, without a byte order mark. @throws {Fault} DATA_INVALID */
export function textOf({ name, bytes }: DataFile): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    const line = 1 + bytes.subarray(0, firstInvalid(bytes)).filter((byte) => byte === 0x0a).length;
    throw new Fault('DATA_INVALID', `${name}:${line}: not UTF-8; convert the file, as with iconv -t UTF-8`, { cause });
  }
}

/** Length of the longest valid prefix, by bisection: decoding a prefix as a stream forgives a character cut in two. */
function firstInvalid(bytes: Uint8Array): number {
  let [good, bad] = [0, bytes.length];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, middle), { stream: true });
      good = middle;
    } catch {
      bad = middle;
    }
  }
  return good;
}

const READERS: Readonly<Record<string, (file: DataFile) => Row[]>> = {
  jsonl: readJsonLines,
  ndjson: readJsonLines,
  json: readJson,
  csv: (file) => readTable(file.name, textOf(file), ',', '"'),
  tsv: (file) => readTable(file.name, textOf(file), '\t', false),
  parquet: ({ name, bytes }) => readParquet(name, bytes).map((columns, i) => ({ line: i + 1, columns })),
  // As TREC comes, from its makers and from LM-BFF.
  label: readLabelled,
  all: readLabelled,
};

/** @throws {Fault} DATA_INVALID naming file, line and remedy. */
export function readRows(file: DataFile): Row[] {
  const extension = /\.([^./\\]+)$/.exec(file.name)?.[1]?.toLowerCase() ?? '';
  const read = READERS[extension];
  if (!read) {
    const known = Object.keys(READERS).map((e) => `.${e}`);
    throw new Fault('DATA_INVALID', `${file.name}: rows are read from ${known.join(', ')} files; rename or convert it`);
  }
  const rows = read(file);
  if (rows.length === 0) throw new Fault('DATA_INVALID', `${file.name}: holds no rows; give a file with at least one`);
  return rows;
}

/** One JSON object a line; blank lines are skipped. */
function readJsonLines(file: DataFile): Row[] {
  const { name } = file;
  return textOf(file)
    .split('\n')
    .flatMap((source, i) => {
      if (source.trim() === '') return [];
      let columns: unknown;
      try {
        columns = JSON.parse(source);
      } catch (cause) {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw dataFault(name, i + 1, `not JSON (${why}); each line must be one JSON object`);
      }
      if (typeof columns !== 'object' || columns === null || Array.isArray(columns)) {
        throw dataFault(name, i + 1, 'not a JSON object; each line must be one, such as {"text": "…", "label": 1}');
      }
      return [{ line: i + 1, columns: columns as Row['columns'] }];
    });
}

/** An array of objects, or one object. All of it stands on line 1: a parser says no more. */
function readJson(file: DataFile): Row[] {
  let value: unknown;
  try {
    value = JSON.parse(textOf(file));
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault('DATA_INVALID', `${file.name}: not JSON (${why}); one object a line is called .jsonl`, { cause });
  }
  return (Array.isArray(value) ? value : [value]).map((columns: unknown, i) => {
    if (typeof columns === 'object' && columns !== null && !Array.isArray(columns))
      return { line: 1, columns: columns as Row['columns'] };
    throw dataFault(file.name, 1, `item ${i + 1} is not a JSON object; each must be one, such as {"text": "…"}`);
  });
}

/** A word, a space, and the text that the word is the label of. */
function readLabelled(file: DataFile): Row[] {
  return textOf(file)
    .split('\n')
    .flatMap((source, i) => {
      const line = source.replace(/\r$/, '');
      if (line === '') return [];
      const space = line.indexOf(' ');
      if (space > 0) return [{ line: i + 1, columns: { label: line.slice(0, space), text: line.slice(space + 1) } }];
      throw dataFault(file.name, i + 1, 'is not a label, a space and a text; fix the line');
    });
}

function readTable(name: string, text: string, delimiter: string, quote: string | false): Row[] {
  const [header, ...rest] = fieldsOf(name, text, delimiter, quote);
  if (!header) return [];
  const names = header.fields;
  const repeated = names.find((column, i) => names.indexOf(column) !== i);
  if (repeated !== undefined) {
    throw dataFault(
      name,
      header.line,
      `two columns are called "${repeated}"; the first line must name each column once`,
    );
  }
  return rest.map(({ line, fields }) => {
    if (fields.length !== names.length) {
      throw dataFault(name, line, `has ${fields.length} columns, the first line names ${names.length}; fix the line`);
    }
    return { line, columns: Object.fromEntries(names.map((column, i) => [column, fields[i]])) };
  });
}

function fieldsOf(name: string, text: string, delimiter: string, quote: string | false) {
  const lines: { line: number; fields: string[] }[] = [];
  let start = 1;
  try {
    parse(text, {
      delimiter,
      quote,
      record_delimiter: ['\r\n', '\n'],
      relax_column_count: true,
      skip_empty_lines: true,
      // `lines` counts the line on which a record ends; a quoted field may span several, so name the one it starts on.
      on_record: (fields: string[], { lines: end }) => {
        lines.push({ line: Math.max(start, end - newlines(fields)), fields });
        start = end + 1;
        return null;
      },
    });
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    const line = typeof cause['lines'] === 'number' ? cause['lines'] : start;
    throw dataFault(name, line, `${cause.message.replace(/\.?$/, '')}; quote fields as RFC 4180 says`);
  }
  return lines;
}

const newlines = (fields: readonly string[]): number => fields.join('').split('\n').length - 1;

/** A column as text. @throws {Fault} DATA_INVALID */
export function cell(row: Row, column: string, file: string): string {
  const value = Object.hasOwn(row.columns, column) ? row.columns[column] : undefined;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value === undefined) {
    const names = Object.keys(row.columns).map((c) => `"${c}"`);
    throw dataFault(file, row.line, `no column "${column}"; it has ${names.join(', ') || 'none'}`);
  }
  throw dataFault(file, row.line, `column "${column}" is neither text nor a number; give one of these`);
}
