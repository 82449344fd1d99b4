/** The int8 forms of a program: bytes in place of weights, everything beside them as in f32. */
import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { Sketch } from '../../src/model/sided.ts';
import type { Dims, Form, Head, Model } from '../../src/model/stage.ts';
import type { Graph } from '../../src/nouns.ts';
import type { TypedArray } from '../../src/ports.ts';
import { uniform } from '../suites/arrays.ts';
import { evaluate } from '../suites/engine.ts';
import { readFolder } from './folder.ts';
import { forward, type Side } from './forward.ts';

const ENGINES = [interpreter, nodeEngine({ threads: 1 })] as const;

const [S, T, I, O, R] = [3, 4, 20, 9, 2];
const whole = (seed: number, n: number, limit: number): number[] =>
  [...uniform(seed, n)].map((x) => Math.round(limit * x));
const times = (factor: number, xs: readonly number[]): Float32Array => Float32Array.from(xs, (x) => factor * x);

describe('sided equals plain with W + Σ u vᵀ, bit for bit, where nothing is rounded', () => {
  const write = (sequences: number, form: Form, kind: 'linear' | 'choices' | 'bare'): Graph => {
    const dims: Dims = { sequences, tokens: T, scored: T };
    const s = new Sketch('one', dims, form);
    const x = s.g.input('x', [sequences * T, I]);
    const y = kind === 'choices' ? s.choices(x, 'w', 50, O) : s.linear(x, 'w', O, kind === 'linear' ? 'b' : undefined);
    s.g.output('y', y);
    return s.g.build();
  };

  // Rows of x reach 127 units and rows of W 64, whatever u v adds: no byte is rounded, and sums stay below 2^24.
  const x = Array.from({ length: S * T }, (_, row) => [127, ...whole(row, I - 1, 127)]);
  const w = Array.from({ length: O }, (_, row) => [64, ...whole(50 + row, I - 1, 50)]);
  const u = Array.from({ length: S * R }, (_, k) => whole(100 + k, O, 4));
  const v = Array.from({ length: S * R }, (_, k) => [0, ...whole(200 + k, I - 1, 1.5)]);
  const b = Array.from({ length: S }, (_, s) => whole(300 + s, O, 90));
  const scale = Float32Array.from({ length: O }, (_, o) => 2 ** -(o % 3));
  const at = (rows: readonly (readonly number[])[]): number[] => rows.flat();
  const transposed = (rows: readonly (readonly number[])[]): Int8Array =>
    Int8Array.from({ length: I * O }, (_, k) => rows[k % O]![Math.floor(k / O)]!);
  const inScale = (rows: readonly (readonly number[])[]): Float32Array =>
    Float32Array.from(at(rows), (k, i) => k * scale[i % O]!);
  const perturbed = (s: number): number[][] =>
    w.map((row, o) =>
      row.map((m, i) => m + [...Array(R).keys()].reduce((sum, k) => sum + u[s * R + k]![o]! * v[s * R + k]![i]!, 0)),
    );

  test('the rows that are perturbed still reach 64, and no further', () => {
    for (let s = 0; s < S; s++) for (const row of perturbed(s)) expect(Math.max(...row.map(Math.abs))).toBe(64);
    expect(perturbed(0)).not.toEqual(w);
  });

  describe.each(['linear', 'choices', 'bare'] as const)('%s', (kind) => {
    test.each(ENGINES.map((e) => [e.name, e] as const))('%s', async (_, engine) => {
      const sided = write(S, { kind: 'sided', rank: R, precision: 'int8' }, kind);
      const bias = (rows: readonly (readonly number[])[]) => (kind === 'linear' ? { b: inScale(rows) } : {});
      const feeds: Record<string, TypedArray> = {
        x: times(0.5, at(x)),
        w: transposed(w),
        'w.scale': scale,
        'w.u': inScale(u),
        'w.v': times(1, at(v)),
        ...bias(b),
      };
      const { y } = await evaluate(engine, sided, feeds);
      const plain = write(1, { kind: 'plain', precision: 'int8' }, kind);
      for (let s = 0; s < S; s++) {
        const own = { x: times(0.5, at(x.slice(s * T, (s + 1) * T))), w: transposed(perturbed(s)), 'w.scale': scale };
        const alone = await evaluate(engine, plain, { ...own, ...bias(b.slice(s, s + 1)) });
        expect(y!.subarray(s * T * O, (s + 1) * T * O), `sequence ${s}`).toEqual(alone.y);
      }
    });
  });
});

test('products that read the same activations share their bytes', () => {
  const s = new Sketch('two', { sequences: 1, tokens: 2, scored: 1 }, { kind: 'plain', precision: 'int8' });
  const x = s.g.input('x', [2, 8]);
  const y = s.g.add(s.linear(x, 'a', 8), s.linear(x, 'b', 8));
  s.g.output('z', s.linear(y, 'c', 8));
  const ops = s.g.build().nodes.map(({ op }) => op.op);
  expect(ops.filter((op) => op === 'quantise').length).toBe(2); // x and y
  expect(ops.filter((op) => op === 'linear8').length).toBe(3);
});

const IDS = Array.from({ length: 15 }, (_, i) => (i * 29 + 3) % 64);
const HEADS: readonly Head[] = [{ kind: 'lm' }, { kind: 'logits' }, { kind: 'choice', choices: 3 }];
const still =
  (model: Model) =>
  (name: string): Side => {
    const { shape } = model.tensors.find((t) => t.name === name)!;
    const [rows = 0, columns = 1] = shape;
    return { u: new Float32Array(rows === 1 ? columns : rows), v: new Float32Array(columns).fill(1) };
  };

describe.each(['opt-tied', 'llama-untied-grouped-linear', 'gpt2', 'bert', 'roberta'])('%s', (name) => {
  test.each(ENGINES.map((e) => [e.name, e] as const))(
    'every head in int8 is near f32 and not equal, in both forms alike: %s',
    async (_, engine) => {
      const { model, weight } = await readFolder(`test/fixtures/models/${name}`);
      const run = (head: Head, form: Form) =>
        forward(engine, model, {
          dims: { sequences: 3, tokens: 5, scored: 2 },
          form,
          head,
          ids: IDS,
          at: [1, 4, 5, 8, 10, 14],
          targets: [9, 4, 33, 60, 0, 17],
          choices: [63, 2, 40],
          weight,
          side: still(model),
        });
      for (const head of HEADS) {
        const exact = await run(head, { kind: 'plain' });
        const plain = await run(head, { kind: 'plain', precision: 'int8' });
        const sided = await run(head, { kind: 'sided', rank: 1, precision: 'int8' });
        const distance = (a: Float32Array) => Math.hypot(...a.map((x, i) => x - exact[i]!)) / Math.hypot(...exact);
        expect(distance(plain), head.kind).toBeLessThan(0.05);
        expect(distance(plain), head.kind).toBeGreaterThan(1e-5);
        expect(distance(sided), `${head.kind}, sides of zeros`).toBe(distance(plain));
      }
    },
  );
});
