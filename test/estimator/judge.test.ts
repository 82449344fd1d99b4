/** What an objective says of samples, and the slopes that are made of it. */
import { describe, expect, test } from 'vitest';
import { costs, rightness, type Sample, written } from '../../src/estimator/judge.ts';
import { bothSides, type Measurement, spsa } from '../../src/estimator/spsa.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import type { Direction, Example, Task } from '../../src/nouns.ts';
import { everything } from '../../src/numeric/mask.ts';
import { elements, isMatrix } from '../../src/numeric/noise.ts';
import { direction as noiseOf } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { createForward } from '../../src/objective/forward.ts';
import { CHOICE, CHOICES, fixture, key, promptOf, windowOf } from '../objective/models.ts';

const V = 64;
const DELTA = 0.05;
const LOWRANK: Direction = { kind: 'lowrank', rank: 1, scale: 1 };
const DENSE: Direction = { kind: 'rademacher', rank: 1, scale: 1 };
const CANDIDATES: Task = {
  ...{ kind: 'candidates', prompt: '{text}', candidates_column: 'c', answer_column: 'a' },
};
const ANSWER: Task & { kind: 'answer' } = {
  ...{ kind: 'answer', prompt: '{text}', answers_column: 'a', max_new_tokens: 4, stop: [] },
};
const tokenizer = {
  decode: (ids: readonly number[]) => ids.map((id) => ` ${id}`).join(''),
  isEnd: () => false,
};

async function measurementOf(task: Task): Promise<Measurement> {
  const { model, weights } = await fixture('llama-untied-grouped-linear', referenceKernels());
  const forward = createForward(model, weights, interpreter);
  const writer = { forward, model, tokenizer };
  return { forward, task, choices: CHOICES, positions: 48, writer };
}

/** Candidates of unlike lengths behind one prompt: the scored tokens are the last ones. */
function candidatesOf(seed: number): Example {
  const candidates = [1, 3, 2].map((length, c) => {
    const whole = windowOf(100 * seed + c, V, 5 + length);
    const at = Int32Array.from({ length }, (_, i) => 5 + i);
    return { tokens: whole.tokens, at, targets: whole.targets.subarray(5) };
  });
  return { ...candidates[seed % 3]!, choice: { candidates, right: [seed % 3] } };
}
const answerOf = (seed: number): Example => ({
  ...promptOf(seed, V, 5),
  ...{ answer: { ids: [...promptOf(seed, V, 5).tokens], prompt: `p${seed}`, accepted: [] }, row: { seed } },
});
const samplesOf = (make: (seed: number) => Example, count = 6): (Sample & { key: ReturnType<typeof key> })[] =>
  Array.from({ length: count }, (_, i) => ({ example: make(i), key: key(i), place: 0 }));

describe.each([LOWRANK, DENSE])('along a direction that is $kind', (direction) => {
  test('candidates: the one with the lowest mean loss of its tokens, on each side', async () => {
    const m = await measurementOf(CANDIDATES);
    const samples = samplesOf(candidatesOf, 12);
    const pass = bothSides(m, direction, DELTA, everything);
    const right = await rightness(m, samples, pass);
    for (const [i, { example, key: own }] of samples.entries()) {
      const { candidates, right: wanted } = example.choice!;
      const each = [];
      for (const one of candidates) each.push(await costs(m, [{ example: one, key: own }], pass));
      for (const side of [0, 1]) {
        const losses = each.map((both) => both[side]!);
        expect(right[2 * i + side]).toBe(wanted.includes(losses.indexOf(Math.min(...losses))) ? 1 : 0);
      }
    }
    expect(new Set(right).size, 'some are right').toBe(2);
  });

  test('a slope of accuracy is the share of samples that turn right, over the distance', async () => {
    const m: Measurement = { ...(await measurementOf(CHOICE)), objective: 'accuracy' };
    const examples = Array.from({ length: 8 }, (_, i) => promptOf(i, V, 4 + (i % 3)));
    const EPS = 0.2;
    const slopes = await spsa(
      m,
      direction,
      EPS,
      [0, 1, 2].map((i) => ({ key: key(i), examples })),
    );
    for (const [i, slope] of slopes.entries()) {
      const samples = examples.map((example) => ({ example, key: key(i) }));
      const right = await rightness(m, samples, bothSides(m, direction, EPS * direction.scale, everything));
      let gained = 0;
      for (let s = 0; s < examples.length; s++) gained += right[2 * s]! - right[2 * s + 1]!;
      expect(slope).toBeCloseTo(-gained / examples.length / (2 * EPS), 12);
    }
    expect(slopes.some((slope) => slope !== 0)).toBe(true);
  });

  test('a reward is given for the text of each side, with prompt and row; its slope points down where it grows', async () => {
    const seen: unknown[] = [];
    const base = await measurementOf(ANSWER);
    const first = ({ completion }: { completion: string }) => Number(completion.trim().split(' ')[0]);
    const m: Measurement = {
      ...base,
      objective: { reward: { path: 'r.ts', bytes: 0, sha256: '' } },
      reward: async (sample) => {
        seen.push(sample);
        return first(sample);
      },
    };
    const samples = samplesOf(answerOf);
    const sides = bothSides(m, direction, DELTA, everything);
    const texts = await written(m, samples, sides);
    const EPS = DELTA / direction.scale;
    const slopes = await spsa(
      m,
      direction,
      EPS,
      samples.map(({ example, key: own }) => ({ key: own, examples: [example] })),
    );
    const row = (i: number) => ({ prompt: `p${i}`, row: { seed: i } });
    expect(seen).toEqual(texts.map((completion, i) => ({ completion, ...row(i >> 1) })));
    for (const [i, slope] of slopes.entries()) {
      const [plus, minus] = [texts[2 * i]!, texts[2 * i + 1]!].map((completion) => first({ completion }));
      expect(slope).toBeCloseTo(-(plus! - minus!) / (2 * EPS), 9);
    }
    expect(slopes.some((slope) => slope !== 0)).toBe(true);
  });
});

test('drawn texts: both sides draw alike, records do not', async () => {
  const m = await measurementOf(ANSWER);
  const samples = Array.from({ length: 6 }, (_, i) => ({ example: answerOf(0), key: key(i), place: i % 2 }));
  const still = { copies: 2, sides: { ...bothSides(m, LOWRANK, 0, everything).sides } } as const;
  const texts = await written(m, samples, still, 1);
  for (let i = 0; i < 6; i++) expect(texts[2 * i]).toBe(texts[2 * i + 1]);
  expect(new Set(texts).size).toBeGreaterThan(3);
  expect(await written(m, samples, still, 1)).toEqual(texts);
});

test('what cannot be judged is refused by name', async () => {
  const lm = await measurementOf({ kind: 'lm', window: 6 });
  const pass = bothSides(lm, LOWRANK, DELTA, everything);
  const sample = { example: windowOf(1, V), key: key(0) };
  await expect(rightness(lm, [sample], pass)).rejects.toThrow(/^CONFIG_INVALID: objective: accuracy is for/);
  await expect(written(lm, [sample], pass)).rejects.toThrow(/^CONFIG_INVALID: objective: f1 and rewards/);
  const reward = { path: 'mine.ts', bytes: 0, sha256: 'ab' };
  const m = { ...(await measurementOf(ANSWER)), objective: { reward } };
  await expect(costs(m, samplesOf(answerOf, 1), pass)).rejects.toThrow(
    /^FILE_MISSING: .*mine\.ts \(SHA-256 ab\).*--reward/,
  );
});

/** ES fine-tuning's published code seeded every tensor alike at first: tensors of one shape then moved together. */
test.each([LOWRANK, DENSE])(
  'directions of unlike tensors of one shape have nothing to do with each other: $kind',
  (d) => {
    const tensor = (id: number) => ({ id, shape: [48, 64] });
    const correlation = (a: Int16Array, b: Int16Array): number =>
      a.reduce((sum, x, i) => sum + x * b[i]!, 0) / elements(tensor(0));
    const of = (id: number, record: number) => noiseOf(tensor(id), d.kind, d.rank, key(record));
    expect(isMatrix(tensor(0).shape)).toBe(true);
    let most = 0;
    for (let record = 0; record < 40; record++)
      for (const [a, b] of [
        [0, 1],
        [3, 7],
        [0, 512],
      ] as const)
        most = Math.max(most, Math.abs(correlation(of(a, record), of(b, record))));
    // Rank 1 is an outer product: its correlation is that of 48 signs times that of 64, of deviation 1 / sqrt(48 · 64) too.
    expect(most).toBeLessThan(0.3);
    // A generator that is seeded anew for every tensor has no ids.
    const seededAnew = (record: number) => of(0, record);
    expect(correlation(seededAnew(0), seededAnew(0)), 'the trap').toBe(1);
  },
);
