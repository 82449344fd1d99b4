/**
 * Byte layouts as values. A `Codec` writes and reads one thing; larger ones are built from smaller ones, so that a
 * message is a table of fields (docs/WIRE.md shows the same tables). All numbers are little-endian.
 *
 * Every value has exactly one encoding, and reading accepts no other. Input is hostile: nothing is allocated that is
 * larger than the bytes that came.
 *
 * @module
 */
import type { FaultCode } from '../faults.ts';
import { Reader, Writer } from './bytes.ts';

/** `name` is the path of the field, for messages. `write` throws RangeError, `read` the reader's fault. */
export interface Codec<T> {
  write(out: Writer, value: T, name: string): void;
  read(from: Reader, name: string): T;
}

/** @throws {RangeError} if the value is not one that `codec` can carry */
export function encode<T>(codec: Codec<T>, value: T, name: string): Uint8Array {
  const out = new Writer();
  codec.write(out, value, name);
  return out.finish();
}

/** All of `bytes` as one value. @throws {Fault} `code`, naming field and byte. */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array, name: string, code: FaultCode, origin = 0): T {
  const from = new Reader(bytes, code, origin);
  const value = codec.read(from, name);
  if (from.left > 0) from.fail(name, `ends before the last ${from.left} bytes`);
  return value;
}

const checkInteger = (value: number, min: number, max: number, name: string): void => {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(`"${name}" expected an integer from ${min} to ${max}, got ${value}`);
};

// --------------------------------------------------------------------------------------------------------- numbers

/** Unsigned, in a fixed number of bytes: 6 at most. */
export function unsigned(bytes: number): Codec<number> {
  const max = 256 ** bytes - 1;
  return {
    write(out, value, name) {
      checkInteger(value, 0, max, name);
      const room = out.take(bytes);
      for (let i = 0, rest = value; i < bytes; i++, rest = Math.floor(rest / 256)) room[i] = rest % 256;
    },
    read: (from, name) => from.take(bytes, name).reduceRight((sum, byte) => sum * 256 + byte, 0),
  };
}

/** Unsigned LEB128: seven bits a byte, lowest first, the high bit set on all but the last; no padding. */
export function varint(max = 0xffff_ffff): Codec<number> {
  return {
    write(out, value, name) {
      checkInteger(value, 0, max, name);
      let rest = value;
      for (; rest >= 128; rest = Math.floor(rest / 128)) out.byte((rest % 128) + 128);
      out.byte(rest);
    },
    read(from, name) {
      let value = 0;
      for (let unit = 1; ; unit *= 128) {
        const byte = from.byte(name);
        value += (byte & 127) * unit;
        if (value > max) from.fail(name, `is more than ${max}`);
        if (byte === 0 && unit > 1) from.fail(name, 'is padded');
        if (byte < 128) return value;
        if (unit > max) from.fail(name, `is more than ${max}`);
      }
    },
  };
}

const NAN_HIGH = 0x7ff8_0000;

/** IEEE double, bits as they are; of the NaNs only 0x7ff8000000000000. */
export const f64: Codec<number> = {
  write(out, value) {
    const room = out.take(8);
    const view = new DataView(room.buffer, room.byteOffset, 8);
    view.setFloat64(0, value, true);
    if (Number.isNaN(value)) view.setBigUint64(0, BigInt(NAN_HIGH) << 32n, true);
  },
  read(from, name) {
    const room = from.take(8, name);
    const view = new DataView(room.buffer, room.byteOffset, 8);
    const value = view.getFloat64(0, true);
    const canonical = view.getUint32(4, true) === NAN_HIGH && view.getUint32(0, true) === 0;
    if (Number.isNaN(value) && !canonical) from.fail(name, 'is an unusual NaN');
    return value;
  },
};

// ---------------------------------------------------------------------------------------------------------- bytes

/** Exactly `length` bytes. */
export function fixed(length: number): Codec<Uint8Array> {
  return {
    write(out, value, name) {
      if (value.length !== length) throw new RangeError(`"${name}" expected ${length} bytes, got ${value.length}`);
      out.take(length).set(value);
    },
    read: (from, name) => from.take(length, name).slice(),
  };
}

/** All bytes up to the end of the input: only good as the last field. */
export const rest: Codec<Uint8Array> = {
  write: (out, value) => out.take(value.length).set(value),
  read: (from, name) => from.take(from.left, name).slice(),
};

/** One-byte gradients up to the end of the input: from `min` to `max` of them. */
export function restCodes(min: number, max: number): Codec<Int8Array> {
  return {
    write(out, value, name) {
      checkInteger(value.length, min, max, `${name}.length`);
      out.take(value.length).set(value); // modulo 256: two's complement
    },
    read(from, name) {
      if (from.left < min || from.left > max) from.fail(name, `has ${from.left} codes, not ${min} to ${max}`);
      return new Int8Array(from.take(from.left, name));
    },
  };
}

/** As `restCodes`, with the count before them. */
export function codes(min: number, max: number): Codec<Int8Array> {
  const count = varint(max);
  return {
    write(out, value, name) {
      checkInteger(value.length, min, max, `${name}.length`);
      count.write(out, value.length, name);
      out.take(value.length).set(value);
    },
    read(from, name) {
      const length = count.read(from, `${name}.length`);
      if (length < min) from.fail(`${name}.length`, `is less than ${min}`);
      return new Int8Array(from.take(length, name));
    },
  };
}

// ---------------------------------------------------------------------------------------------------- combinations

export type Fields<T> = { readonly [K in keyof T]: Codec<T[K]> };

/** Fields one after another, in the order in which the table lists them. */
export function struct<T extends object>(fields: Fields<T>): Codec<T> {
  const table = Object.entries(fields) as [string & keyof T, Codec<T[keyof T]>][];
  return {
    write(out, value, name) {
      for (const [key, codec] of table) codec.write(out, value[key], `${name}.${key}`);
    },
    read(from, name) {
      const value: { [K in keyof T]?: T[keyof T] } = {};
      for (const [key, codec] of table) value[key] = codec.read(from, `${name}.${key}`);
      return value as T;
    },
  };
}

/** A count, then that many; each is at least one byte long, so the count cannot exceed what is left. */
export function list<T>(item: Codec<T>, max: number): Codec<readonly T[]> {
  const count = varint(max);
  return {
    write(out, value, name) {
      count.write(out, value.length, `${name}.length`);
      for (const [i, each] of value.entries()) item.write(out, each, `${name}[${i}]`);
    },
    read(from, name) {
      const length = count.read(from, `${name}.length`);
      if (length > from.left) from.fail(`${name}.length`, `${length} do not fit into ${from.left} bytes`);
      return Array.from({ length }, (_, i) => item.read(from, `${name}[${i}]`));
    },
  };
}

type Variant<M extends { readonly type: string }, T> = Omit<Extract<M, { readonly type: T }>, 'type'>;

/** For each type of message the byte that stands for it, and its fields. */
export type Variants<M extends { readonly type: string }> = {
  readonly [T in M['type']]: readonly [tag: number, fields: Fields<Variant<M, T>>];
};

/** One of several messages, told apart by their first byte. */
export function tagged<M extends { readonly type: string }>(variants: Variants<M>): Codec<M> {
  const table = Object.entries(variants) as [M['type'], readonly [number, Fields<object>]][];
  const byType = new Map(table.map(([type, [tag, fields]]) => [type, { tag, body: struct<object>(fields) }]));
  const byTag = new Map(table.map(([type, [tag, fields]]) => [tag, { type, body: struct<object>(fields) }]));
  return {
    write(out, value, name) {
      const variant = byType.get(value.type);
      if (variant === undefined) throw new RangeError(`"type" expected ${[...byType.keys()]}, got ${value.type}`);
      out.byte(variant.tag);
      variant.body.write(out, value, `${name}.${value.type}`);
    },
    read(from, name) {
      const tag = from.byte(`${name}.type`);
      const variant = byTag.get(tag) ?? from.fail(`${name}.type`, `${tag} is not known`);
      return { type: variant.type, ...variant.body.read(from, `${name}.${variant.type}`) } as M;
    },
  };
}
