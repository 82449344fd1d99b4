/**
 * Parquet files → rows. Values are what JSON would hold: lists and structs as arrays and objects, 64-bit integers as
 * numbers.
 *
 * The library's own door is asynchronous, since it may fetch pages from afar; here the file is in memory, and its parts
 * are called in turn, so that rows of every format are read by one plain function.
 *
 * @module
 */
import { parquetMetadata, parquetSchema, toJson } from 'hyparquet';
import { assembleNested } from 'hyparquet/src/assemble.js';
import { readColumn } from 'hyparquet/src/column.js';
import { DEFAULT_PARSERS } from 'hyparquet/src/convert.js';
import { parquetPlan } from 'hyparquet/src/plan.js';
import { getTreePath } from 'hyparquet/src/schema.js';
import { compressors } from 'hyparquet-compressors';
import { Fault } from '../faults.ts';

/** The columns of a row by name. */
type Columns = Readonly<Record<string, unknown>>;

/** Ends and begins every Parquet file. */
const MAGIC = 'PAR1';

/** @param name of the file, for messages. @returns its rows, in their order. @throws {Fault} DATA_INVALID */
export function readParquet(name: string, bytes: Uint8Array): Columns[] {
  const magic = new TextDecoder('latin1').decode(bytes.subarray(-4));
  if (magic !== MAGIC) {
    const remedy = magic === 'PARE' ? 'encrypted; write it without a key' : 'not Parquet, or cut short; get it again';
    throw new Fault('DATA_INVALID', `${name}: ${remedy}`);
  }
  try {
    return rowsOf(bytes.slice().buffer);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault('DATA_INVALID', `${name}: cannot be read as Parquet (${why}); write it again, with Snappy`, {
      cause,
    });
  }
}

function rowsOf(file: ArrayBuffer): Columns[] {
  const metadata = parquetMetadata(file);
  const tree = parquetSchema(metadata);
  return parquetPlan({ metadata, file: { byteLength: file.byteLength, slice: () => file } }).groups.flatMap((group) => {
    const values = new Map<string, ArrayLike<unknown>>();
    for (const { columnMetadata, range } of group.chunks) {
      const path = columnMetadata.path_in_schema;
      const schemaPath = getTreePath(tree, path);
      const view = new DataView(file, range.startByte, range.endByte - range.startByte);
      const { element } = schemaPath.at(-1)!;
      const decoder = { ...columnMetadata, pathInSchema: path, element, schemaPath, compressors };
      const { data } = readColumn({ view, offset: 0 }, group, { ...decoder, parsers: DEFAULT_PARSERS });
      values.set(
        path.join('.'),
        data.flatMap((page) => Array.from(page as ArrayLike<unknown>)),
      );
    }
    for (const column of tree.children) {
      if (column.children.length > 0) assembleNested(values as Map<string, unknown[]>, column, DEFAULT_PARSERS);
    }
    return Array.from({ length: group.groupRows }, (_, i) =>
      Object.fromEntries(tree.children.map(({ element }) => [element.name, toJson(values.get(element.name)?.[i])])),
    );
  });
}
