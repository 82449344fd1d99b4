/**
 * What data needs of a tokenizer, and how a text begins.
 *
 * @module
 */

/** Text → token ids. `special` adds what the tokenizer puts around a text, such as a first token. */
export interface Encoder {
  encode(text: string, options: { readonly special: boolean }): ArrayLike<number>;
  /** Id of the token that a masked model fills in. Absent: the model is causal. */
  readonly mask?: number | undefined;
}

/** Ids of the text alone. */
export const bare = (encoder: Encoder, text: string): number[] => Array.from(encoder.encode(text, { special: false }));

/** What the tokenizer puts before and behind every text. */
export function around(encoder: Encoder): readonly [before: number[], behind: number[]] {
  const probe = 'a';
  const text = bare(encoder, probe);
  const whole = Array.from(encoder.encode(probe, { special: true }));
  const starts = whole.findIndex((_, i) => text.every((id, j) => whole[i + j] === id));
  return starts < 0 ? [[], []] : [whole.slice(0, starts), whole.slice(starts + text.length)];
}

/**
 * What the tokenizer puts in front of every text: `<s>` for LLaMA, nothing for GPT-2. What it would put behind one is
 * left out, since a causal model is asked what comes next.
 */
export const opening = (encoder: Encoder): number[] => around(encoder)[0];
