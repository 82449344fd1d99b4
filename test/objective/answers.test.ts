import { expect, test } from 'vitest';
import { exactMatch, f1, normalised } from '../../src/objective/answers.ts';

/** What SQuAD's evaluation script (v1.1) says of these pairs. */
test.each([
  ['The Denver Broncos!', ['denver broncos'], 1, 1],
  ['Denver', ['Denver Broncos', 'Carolina'], 2 / 3, 0],
  ['the the cat cat', ['a cat'], 2 / 3, 0],
  ['Santa Clara, California', ["Levi's Stadium", 'Santa Clara'], 4 / 5, 0],
  ['theatre', ['atre'], 0, 0],
  ['', ['x'], 0, 0],
  ['the', ['a'], 1, 1],
  ['x', [], 0, 0],
])('%s of %j', (written, accepted, expectedF1, expectedMatch) => {
  expect(f1(written, accepted)).toBeCloseTo(expectedF1, 12);
  expect(exactMatch(written, accepted)).toBe(expectedMatch);
});

test('normalised: case, ASCII punctuation, articles and spaces', () => {
  expect(normalised('  An "A.B.C." \n the  Über-Frau ')).toBe('abc überfrau');
});
