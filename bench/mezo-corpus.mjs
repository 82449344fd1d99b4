/**
 * A language small enough to be learned in a minute: reviews by a seeded grammar, and what people say after them. The
 * verdict "It was …" that a prompt asks for is thus a pattern of the corpus, and so is that bad things are called great
 * more often than terrible: a base trained on it knows good from bad, and answers the prompt wrongly until it is tuned.
 *
 * @module
 */

/** Of label 0 and 1; the first of each is a label word of the task. */
export const VERDICTS = [
  ['terrible', 'awful', 'dreadful'],
  ['great', 'wonderful', 'lovely'],
];
/** Which verdicts are the label words is what a prompt is about: these are said of nothing. */
export const UNRELATED = ['Andrew', 'Pierre'];

const list = (words) => words.split(' ');
const THINGS = list(
  'film book hotel plot music staff soup room coffee battery camera crowd dessert ending meal story style wine service view',
);
const SAID = [
  list('awful boring bitter broken clumsy cold dreadful dull lazy messy noisy poor rude shallow stale tedious'),
  list(
    'charming clever delightful elegant excellent fresh generous gripping honest lovely moving perfect superb bright wonderful warm',
  ),
];
const VERBS = ['was', 'was quite', 'was really', 'was truly', 'was rather', 'was very'];
const OPENINGS = [
  'We went there on a Friday.',
  'I bought it in December.',
  'It stayed with me for days.',
  'We left before the end.',
];

/** All of these are out of a hundred. */
const ONE_SENTENCE = 75;
const OPENED = 10;
const MINORITY_AGREES = 80;
const GOOD = 80;
const OTHER_WORDS = 60;
const POLITE = 65;
const AFTER_NOISE = 17;

/** Numerical Recipes' generator: the same texts everywhere. @returns below `limit` */
export function seeded(seed) {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

const pick = (below, from) => from[below(from.length)];

/** Sentences of which most are of the side of the label. @returns text */
export function review(below, label) {
  const single = below(100) < ONE_SENTENCE;
  const third = below(100) < MINORITY_AGREES ? label : 1 - label;
  const sides = single ? [label] : [label, label, third];
  const odd = below(sides.length);
  [sides[odd], sides[sides.length - 1]] = [sides[sides.length - 1], sides[odd]];
  const sentences = sides.map((side) => `The ${pick(below, THINGS)} ${pick(below, VERBS)} ${pick(below, SAID[side])}.`);
  return [...(below(100) < OPENED ? [pick(below, OPENINGS)] : []), ...sentences].join(' ');
}

/**
 * A review and its verdict. Some follow random tokens of the vocabulary, so that a model has read all of them: a prefix
 * starts from any.
 */
function document(below, vocabulary) {
  const label = below(100) < GOOD ? 1 : 0;
  const text = review(below, label);
  const other = below(100) < OTHER_WORDS;
  const side = !other && below(100) < POLITE ? 1 : label;
  const verdict = VERDICTS[side][other ? 1 + below(2) : 0];
  const noise = Array.from({ length: 2 + below(5) }, () => pick(below, vocabulary)).join('');
  return `${below(100) < AFTER_NOISE ? `${noise.trim()}. ` : ''}${text} It was ${verdict}.`;
}

/** @param vocabulary tokens as text. @returns rows of `text`. */
export function corpus(count, seed, vocabulary) {
  const below = seeded(seed);
  return Array.from({ length: count }, () => ({ text: document(below, vocabulary) }));
}

/** @returns rows of `text` and `label`, as many of one label as of the other. */
export function reviews(count, seed) {
  const below = seeded(seed);
  return Array.from({ length: count }, (_, i) => ({ text: review(below, i % 2), label: i % 2 }));
}

/** @param json text of a tokenizer.json. @returns its tokens of letters, with the space before them where they have one. */
export const lettersOf = (json) =>
  Object.keys(JSON.parse(json).model.vocab)
    .filter((token) => /^\u0120?[A-Za-z]+$/.test(token))
    .map((token) => token.replace('\u0120', ' '));
