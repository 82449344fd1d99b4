/** Holds the code to docs/NUMBERS.md 10, through vectors that test/golden/adapters/make.py made from the page alone. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { firstTokens, uniformWeights } from '../../src/numeric/first.ts';

interface Vectors {
  readonly weights: readonly {
    readonly seed: number;
    readonly id: number;
    readonly width: number;
    readonly first: number;
    readonly weights: readonly string[];
  }[];
  readonly tokens: readonly {
    readonly seed: number;
    readonly vocabulary: number;
    readonly tokens: readonly number[];
  }[];
}
const vectors: Vectors = JSON.parse(readFileSync('test/golden/adapters/vectors.json', 'utf8'));
const page = readFileSync('docs/NUMBERS.md', 'utf8');

const hex = (x: number): string => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatBE(x);
  return bytes.toString('hex');
};

test('first weights of LoRA, from any element on', () => {
  for (const { seed, id, width, first, weights } of vectors.weights) {
    expect([...uniformWeights(seed, id, width, first, weights.length)].map(hex)).toEqual(weights);
    expect([...uniformWeights(seed, id, width, first + 3, 2)].map(hex)).toEqual(weights.slice(3, 5));
  }
});

test('tokens that a prefix or a prompt starts from', () => {
  for (const { seed, vocabulary, tokens } of vectors.tokens)
    expect([...firstTokens(seed, vocabulary, tokens.length)]).toEqual(tokens);
});

test('the worked example of docs/NUMBERS.md 10 is what the code computes', () => {
  expect(page).toContain(
    `    first weights 0 … 3          ${[...uniformWeights(42, 5, 24, 0, 4)].map(hex).join(' ')}\n`,
  );
  expect(page).toContain(`    first tokens                 ${firstTokens(42, 1024, 5).join(' ')}\n`);
});

test('first weights fill ±1/√width evenly', () => {
  const x = uniformWeights(3, 1, 64, 0, 40_000);
  expect(Math.max(...x.map(Math.abs))).toBeLessThanOrEqual(1 / 8);
  const meanSquare = x.reduce((sum, w) => sum + w * w, 0) / x.length;
  expect(meanSquare * 3 * 64).toBeCloseTo(1, 1);
  expect(Math.abs(x.reduce((sum, w) => sum + w, 0) / x.length)).toBeLessThan(0.002);
});
