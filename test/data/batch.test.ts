import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { batchExamples, bucketOf, sequencesFor } from '../../src/data/batch.ts';
import type { Example } from '../../src/nouns.ts';

const choice = (length: number, id: number): Example => ({
  tokens: new Int32Array(length).fill(id),
  at: Int32Array.of(length - 1),
  targets: Int32Array.of(id % 3),
});
const window = (length: number, id: number): Example => ({
  tokens: Int32Array.from({ length }, (_, i) => id + i),
  at: Int32Array.from({ length }, (_, i) => i),
  targets: Int32Array.from({ length }, (_, i) => id + i + 1),
});
const anyExample = fc
  .record({ length: fc.integer({ min: 1, max: 600 }), id: fc.integer({ min: 1, max: 500 }), lm: fc.boolean() })
  .map(({ length, id, lm }) => (lm ? window(length, id) : choice(length, id)));

describe('batches', () => {
  test('every example is in one place, with its tokens, positions and targets; the rest weighs nothing', () => {
    fc.assert(
      fc.property(fc.array(anyExample, { maxLength: 40 }), fc.boolean(), (examples, alike) => {
        const seen: number[] = [];
        for (const b of batchExamples(examples, undefined, alike)) {
          expect([b.ids.length, b.at.length, b.targets.length, b.weights.length, b.members.length]).toEqual([
            b.sequences * b.tokens,
            ...[b.at, b.targets, b.weights].map(() => b.sequences * b.scored),
            b.sequences,
          ]);
          b.members.forEach((member, s) => {
            const rows = b.at.subarray(s * b.scored, (s + 1) * b.scored);
            const weights = b.weights.subarray(s * b.scored, (s + 1) * b.scored);
            expect(rows.every((row) => row >= s * b.tokens && row < (s + 1) * b.tokens)).toBe(true);
            seen.push(member);
            const { tokens, at, targets } = examples[member]!;
            expect(b.ids.subarray(s * b.tokens, s * b.tokens + tokens.length)).toEqual(tokens);
            expect([...rows.subarray(0, at.length)].map((row) => row - s * b.tokens)).toEqual([...at]);
            expect(b.targets.subarray(s * b.scored, s * b.scored + at.length)).toEqual(targets);
            expect([...weights]).toEqual(Array.from(weights, (_, p) => (p < at.length ? 1 : 0)));
          });
        }
        expect(seen.sort((a, b) => a - b)).toEqual(examples.map((_, i) => i));
      }),
    );
  });

  test('alike, all are as long as the longest needs to be, and never longer than the model allows', () => {
    fc.assert(
      fc.property(fc.array(anyExample, { minLength: 1, maxLength: 20 }), (examples) => {
        const longest = Math.max(...batchExamples(examples, 600).map(({ tokens }) => tokens));
        expect(new Set(batchExamples(examples, 600, true).map(({ tokens }) => tokens))).toEqual(new Set([longest]));
      }),
    );
  });

  test('the padding of an example does not depend on its company', () => {
    const shapeOf = (examples: readonly Example[], index: number) => {
      const b = batchExamples(examples).find(({ members }) => members.includes(index))!;
      return [b.tokens, b.scored];
    };
    fc.assert(
      fc.property(anyExample, fc.array(anyExample, { maxLength: 20 }), fc.nat(20), (example, others, place) => {
        const index = Math.min(place, others.length);
        const company = others.toSpliced(index, 0, example);
        expect(shapeOf(company, index)).toEqual(shapeOf([example], 0));
      }),
    );
  });

  test('no sequence is computed for nothing', () => {
    fc.assert(
      fc.property(fc.array(anyExample, { maxLength: 30 }), (examples) => {
        const sequences = batchExamples(examples).reduce((sum, b) => sum + b.sequences, 0);
        expect(sequences).toBe(examples.length);
      }),
    );
  });

  test('with every example twice, sequences 2i and 2i + 1 are a pair', () => {
    fc.assert(
      fc.property(fc.array(anyExample, { maxLength: 30 }), (examples) => {
        for (const { members, sequences } of batchExamples(examples.flatMap((e) => [e, e]))) {
          for (let s = 0; s < sequences; s += 2) expect(members[s + 1]).toBe(members[s]! + 1);
        }
      }),
    );
  });

  test('text windows are not padded, prompts are to the next bucket', () => {
    expect([
      bucketOf(window(50, 1)),
      bucketOf(choice(50, 1)),
      bucketOf(choice(64, 1)),
      bucketOf(choice(65, 1)),
    ]).toEqual([50, 52, 64, 72]);
    expect([2, 4, 5, 33, 129, 5000].map((n) => bucketOf(choice(n, 1)))).toEqual([4, 4, 8, 36, 144, 5120]);
  });

  test('less than an eighth of a prompt is padding, or fewer than four tokens', () => {
    for (let n = 1; n < 5000; n++) {
      const padding = bucketOf(choice(n, 1)) - n;
      expect(padding >= 0 && (padding < 4 || padding < n / 8)).toBe(true);
    }
  });

  test('a bucket never exceeds the positions of the model', () => {
    expect(batchExamples([choice(90, 1)], 90).map(({ tokens }) => tokens)).toEqual([90]);
  });

  test('calls hold an even number of sequences, about 512 rows, never none', () => {
    expect([8, 64, 65, 96, 128, 256, 4096].map(sequencesFor)).toEqual([8, 8, 6, 4, 4, 2, 2]);
  });

  test('no examples, no calls', () => expect(batchExamples([])).toEqual([]));
});
