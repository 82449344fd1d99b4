/** A tokenizer that can be read: ids are 10 + the rank of a word in the list it is given, 1 opens a text, 2 ends it. */
import type { Encoder } from '../../src/data/tokens.ts';

/** Splits into single spaces-and-word pieces and line breaks; unknown pieces become one token a character (100 + code). */
export const fakeEncoder = (words: readonly string[] = []): Encoder => ({
  encode(text, { special }) {
    const ids = (text.match(/ ?[^\s]+|\s/g) ?? []).flatMap((piece) => {
      const known = words.indexOf(piece);
      return known >= 0 ? [10 + known] : Array.from(piece, (c) => 100 + c.codePointAt(0)!);
    });
    return special ? [1, ...ids, 2] : ids;
  },
});

export const file = (name: string, text: string | Uint8Array): { name: string; bytes: Uint8Array } => ({
  name,
  bytes: typeof text === 'string' ? new TextEncoder().encode(text) : text,
});

/** The code and message of what `act` throws. */
export function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return 'no refusal';
}
