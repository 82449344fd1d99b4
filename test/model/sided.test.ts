import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import type { Form, Head, Model } from '../../src/model/stage.ts';
import { readFolder } from './folder.ts';
import { forward, type Side } from './forward.ts';

/** Deterministic, spread over (-1, 1). */
const noise = (seed: number): number => 2 * ((((seed + 1) * 0.754877666) % 1) - 0.5);

/** A side for every tensor and sequence, unlike each other. */
function sidesOf(model: Model, rank: number): (tensor: string, sequence: number) => Side {
  return (name, s) => {
    const { shape, id } = model.tensors.find((t) => t.name === name)!;
    const [rows = 0, columns = 1] = shape;
    const start = 7919 * id + 104729 * s;
    const matrix = !isVector(shape);
    return {
      u: Float32Array.from({ length: matrix ? rank * rows : rows * columns }, (_, i) => 0.1 * noise(start + i)),
      v: Float32Array.from({ length: matrix ? rank * columns : 0 }, (_, i) => noise(start + 31 * i + 5)),
    };
  };
}

/** W + Σ u vᵀ, or w + u. */
function materialise(model: Model, name: string, whole: Float32Array, { u, v }: Side, rank: number): Float32Array {
  const { shape } = model.tensors.find((t) => t.name === name)!;
  if (isVector(shape)) return whole.map((w, i) => w + u[i]!);
  const [rows = 0, columns = 0] = shape;
  return whole.map((w, i) => {
    let sum = w;
    for (let k = 0; k < rank; k++) sum += u[k * rows + Math.floor(i / columns)]! * v[k * columns + (i % columns)]!;
    return sum;
  });
}

const HEADS: readonly Head[] = [{ kind: 'lm' }, { kind: 'logits' }, { kind: 'choice', choices: 3 }];
const MODELS = [
  'opt-tied',
  'llama-untied-grouped-linear',
  'llama-rope-llama3-head-dim',
  'llama-yarn-biases',
  'qwen2-windows',
  'qwen3-tied',
  'gpt2',
  'bert',
  'roberta',
];
/** A vector in the noise, whatever its axes (docs/NUMBERS.md 3). */
const isVector = ([rows = 0, columns = 0]: readonly number[]): boolean => rows === 1 || columns === 0;
const [S, T, P] = [3, 5, 2];
const IDS = Array.from({ length: S * T }, (_, i) => (i * 29 + 3) % 64); // no two sequences alike
const AT = [1, 4, 5, 8, 10, 14]; // (S·P) rows of (S·T)
const TARGETS = [9, 4, 33, 60, 0, 17];
const CHOICES = [63, 2, 40];

/** One plain run a sequence, each with weights of its own. */
async function oneByOne(model: Model, weight: (name: string) => Float32Array, head: Head, rank: number) {
  const side = sidesOf(model, rank);
  const parts: number[] = [];
  for (let s = 0; s < S; s++)
    parts.push(
      ...(await forward(interpreter, model, {
        dims: { sequences: 1, tokens: T, scored: P },
        form: { kind: 'plain' },
        head,
        ids: IDS.slice(s * T, (s + 1) * T),
        at: AT.slice(s * P, (s + 1) * P).map((row) => row - s * T),
        targets: TARGETS.slice(s * P, (s + 1) * P),
        choices: CHOICES,
        weight: (name) => materialise(model, name, weight(name), side(name, s), rank),
      })),
    );
  return parts;
}

function together(
  engine: typeof interpreter,
  model: Model,
  weight: (name: string) => Float32Array,
  head: Head,
  form: Form & { kind: 'sided' },
  side: (tensor: string, sequence: number) => Side,
) {
  return forward(engine, model, {
    dims: { sequences: S, tokens: T, scored: P },
    form,
    head,
    ids: IDS,
    at: AT,
    targets: TARGETS,
    choices: CHOICES,
    weight,
    side,
  });
}

const worst = (got: ArrayLike<number>, expected: readonly number[]): number =>
  expected.reduce((most, x, i) => Math.max(most, Math.abs(x - (got[i] ?? Number.NaN))), 0);

describe('a direction a sequence beside the product equals plain runs with W + Σ u vᵀ', () => {
  describe.each(MODELS)('%s', (name) => {
    test.each([
      [1, interpreter],
      [3, interpreter],
      [2, nodeEngine({ threads: 1 })],
    ] as const)('rank %i, every head', async (rank, engine) => {
      const { model, weight } = await readFolder(`test/fixtures/models/${name}`);
      for (const head of HEADS) {
        const got = await together(engine, model, weight, head, { kind: 'sided', rank }, sidesOf(model, rank));
        expect(worst(got, await oneByOne(model, weight, head, rank)), head.kind).toBeLessThan(2e-4);
      }
    });

    test('each tensor alone moves the result, by the same amount in both forms', async () => {
      const { model, weight } = await readFolder(`test/fixtures/models/${name}`);
      const head = { kind: 'logits' } as const;
      const all = sidesOf(model, 1);
      const none = (tensor: string, s: number): Side => {
        const { u, v } = all(tensor, s);
        return { u: u.map(() => 0), v };
      };
      const still = await together(interpreter, model, weight, head, { kind: 'sided', rank: 1 }, none);
      const half = still.length / S;
      for (const moved of model.tensors) {
        const side = (tensor: string, s: number) => (tensor === moved.name && s === 1 ? all : none)(tensor, s);
        const got = await together(interpreter, model, weight, head, { kind: 'sided', rank: 1 }, side);
        const alone = await forward(interpreter, model, {
          dims: { sequences: 1, tokens: T, scored: P },
          form: { kind: 'plain' },
          head,
          ids: IDS.slice(T, 2 * T),
          at: AT.slice(P, 2 * P).map((row) => row - T),
          weight: (n) => (n === moved.name ? materialise(model, n, weight(n), all(n, 1), 1) : weight(n)),
        });
        expect(worst(got.subarray(half, 2 * half), [...alone]), moved.name).toBeLessThan(2e-4);
        expect(got.subarray(0, half), 'other sequences stay').toEqual(still.subarray(0, half));
        const change = worst(got.subarray(half, 2 * half), [...still.subarray(half, 2 * half)]);
        // a bias of the keys adds the same to all scores of a query, up to its rotation: it may change nothing
        if (!/(k_proj|self\.key)\.bias$/.test(moved.name)) expect(change, moved.name).toBeGreaterThan(1e-3);
      }
    });
  });
});
