/**
 * Event files as TensorBoard reads them: records of TFRecord, each a protobuf `Event` with scalars by tag
 * (tensorboard/compat/proto/event.proto and summary.proto; framing: tensorflow/core/lib/io/record_writer.h).
 *
 * @module
 */
import { concat, double, float, int, message, text } from '../graph/protobuf.ts';
import { crc32c } from '../numeric/crc32c.ts';

/** Fields of `Event`, `SessionLog`, `Summary` and `Summary.Value`. */
const EVENT = { wallTime: 1, step: 2, fileVersion: 3, summary: 5, sessionLog: 7 } as const;
const SESSION_LOG = { status: 1 } as const;
const SUMMARY = { value: 1 } as const;
const VALUE = { tag: 1, simpleValue: 2 } as const;
const STATUS_START = 1;

/** What every event file begins with. @param wallTime seconds since 1970. */
export const fileVersion = (wallTime: number): Uint8Array =>
  framed(concat([double(EVENT.wallTime, wallTime), text(EVENT.fileVersion, 'brain.Event:2')]));

/** A run goes on here: what earlier files say of `step` and later is to be forgotten. */
export const restarted = (wallTime: number, step: number): Uint8Array =>
  framed(
    concat([
      ...[double(EVENT.wallTime, wallTime), int(EVENT.step, step)],
      message(EVENT.sessionLog, int(SESSION_LOG.status, STATUS_START)),
    ]),
  );

/** @param values by tag, such as `eval/loss`; kept as f32. */
export function scalars(wallTime: number, step: number, values: Readonly<Record<string, number>>): Uint8Array {
  const summary = Object.entries(values).map(([tag, value]) =>
    message(SUMMARY.value, text(VALUE.tag, tag), float(VALUE.simpleValue, value)),
  );
  return framed(concat([double(EVENT.wallTime, wallTime), int(EVENT.step, step), message(EVENT.summary, ...summary)]));
}

/** Length u64, its checksum, the data, its checksum; little-endian. */
function framed(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(12 + data.length + 4);
  const view = new DataView(record.buffer);
  view.setUint32(0, data.length, true);
  view.setUint32(8, masked(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, masked(data), true);
  return record;
}

/** CRC-32C, turned and shifted, so that a record of records does not check itself. */
function masked(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282_ead8) >>> 0;
}
