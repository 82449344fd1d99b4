/**
 * Text as bytes: names and reasons that one machine writes and another shows.
 *
 * @module
 */
import { type Codec, varint } from './codec.ts';

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Controls, lone surrogates, and what reverses the reading direction: text is shown in other people's terminals. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u200e\u200f\u2028-\u202e\u2066-\u2069]/u;

/** Well-formed UTF-8 as text, byte order marks and all; anything else as null. */
export function fromUtf8(bytes: Uint8Array): string | null {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return null;
  }
}

export const toUtf8 = (value: string): Uint8Array => utf8.encode(value);

/** Printable UTF-8 of at most `max` bytes its length before it. */
export function text(max: number): Codec<string> {
  const lengthOf = varint(max);
  return {
    write(out, value, name) {
      const bytes = utf8.encode(value);
      if (bytes.length > max) throw new RangeError(`"${name}" expected at most ${max} bytes, got ${bytes.length}`);
      if (UNPRINTABLE.test(value)) throw new RangeError(`"${name}" expected printable text`);
      lengthOf.write(out, bytes.length, name);
      out.take(bytes.length).set(bytes);
    },
    read(from, name) {
      const length = lengthOf.read(from, `${name}.length`);
      const bytes = from.take(length, name);
      const value = fromUtf8(bytes) ?? from.fail(name, 'is not UTF-8');
      if (UNPRINTABLE.test(value)) from.fail(name, 'is not printable');
      return value;
    },
  };
}

/** `value` made fit for `text(max)`: unprintable characters become spaces, what is too long is cut. */
export function printable(value: string, max: number): string {
  let fit = '';
  let bytes = 0;
  for (const character of value) {
    const shown = UNPRINTABLE.test(character) ? ' ' : character;
    bytes += utf8.encode(shown).length;
    if (bytes > max) break;
    fit += shown;
  }
  return fit;
}
