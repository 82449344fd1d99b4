/**
 * How right a written answer is — SQuAD, Rajpurkar et al. 2016, arXiv:1606.05250, section 6.1, and its evaluation script:
 * lower case, no punctuation, no articles; the best of all accepted answers counts.
 *
 * @module
 */

/** ASCII punctuation, as Python's `string.punctuation`. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;

/** What is compared. */
export const normalised = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(PUNCTUATION, '')
    .replaceAll(/\b(a|an|the)\b/g, ' ')
    .split(/\s+/)
    .filter(Boolean)
    .join(' ');

const wordsIn = (text: string): string[] => normalised(text).split(' ').filter(Boolean);

/** Harmonic mean of precision and recall of the words, 0 … 1. Two empty texts agree. */
function overlap(written: string, accepted: string): number {
  const [a, b] = [wordsIn(written), wordsIn(accepted)];
  if (a.length === 0 || b.length === 0) return a.length === b.length ? 1 : 0;
  const left = new Map<string, number>();
  for (const word of b) left.set(word, (left.get(word) ?? 0) + 1);
  let same = 0;
  for (const word of a) {
    const count = left.get(word) ?? 0;
    if (count === 0) continue;
    left.set(word, count - 1);
    same++;
  }
  return (2 * same) / (a.length + b.length);
}

/** 0 … 1; 0 where nothing is accepted. */
export const f1 = (written: string, accepted: readonly string[]): number =>
  Math.max(0, ...accepted.map((text) => overlap(written, text)));

/** 1 or 0. */
export const exactMatch = (written: string, accepted: readonly string[]): number =>
  accepted.some((text) => normalised(text) === normalised(written)) ? 1 : 0;
