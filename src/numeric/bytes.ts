/**
 * Reading and writing bytes one after another, and the few helpers that everything with bytes needs.
 *
 * @module
 */
import { Fault, type FaultCode } from '../faults.ts';

export class Writer {
  #bytes = new Uint8Array(128);
  #length = 0;

  /** The next `count` bytes, for the caller to fill before the next call. */
  take(count: number): Uint8Array {
    const start = this.#length;
    this.#grow(count);
    return this.#bytes.subarray(start, this.#length);
  }

  /** As `take(1)[0] = value`: most of what is written is single bytes. */
  byte(value: number): void {
    this.#grow(1);
    this.#bytes[this.#length - 1] = value;
  }

  #grow(count: number): void {
    this.#length += count;
    if (this.#length <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

export class Reader {
  readonly #bytes: Uint8Array;
  readonly #code: FaultCode;
  readonly #origin: number;
  #position = 0;

  /** @param origin what the offsets in messages count from: the place of `bytes` in a larger whole. */
  constructor(bytes: Uint8Array, code: FaultCode, origin = 0) {
    this.#bytes = bytes;
    this.#code = code;
    this.#origin = origin;
  }

  get left(): number {
    return this.#bytes.length - this.#position;
  }

  /** The next `count` bytes: a view, to be copied by whoever keeps it. */
  take(count: number, name: string): Uint8Array {
    if (count > this.left) this.fail(name, `needs ${count} bytes, ${this.left} are left`);
    this.#position += count;
    return this.#bytes.subarray(this.#position - count, this.#position);
  }

  /** As `take(1, name)[0]`. */
  byte(name: string): number {
    const byte = this.#bytes[this.#position];
    if (byte === undefined) this.fail(name, 'needs 1 bytes, 0 are left');
    this.#position++;
    return byte;
  }

  fail(name: string, detail: string): never {
    throw new Fault(this.#code, `${name}: ${detail} (byte ${this.#origin + this.#position})`);
  }
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export function toHex(bytes: Uint8Array): string {
  let hex = '';
  for (const byte of bytes) hex += HEX[byte]!;
  return hex;
}

/** @throws {RangeError} unless `hex` is pairs of lower-case hexadecimal digits */
export function fromHex(hex: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/.test(hex)) throw new RangeError(`"hex" expected pairs of digits 0-9 a-f, got "${hex}"`);
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
