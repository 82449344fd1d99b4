import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { GraphBuilder } from '../../src/graph/graph.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { size } from '../../src/graph/shape.ts';
import type { Graph } from '../../src/nouns.ts';
import { expectClose, indices, uniform } from '../suites/arrays.ts';
import { evaluate, single } from '../suites/engine.ts';
import { INSTANCES, STEPS } from '../suites/programs.ts';

const engine = nodeEngine({ threads: 2 });

const DRAW = {
  f32: (seed: number, n: number) => uniform(seed, n).map((x) => 2 * x),
  i32: indices,
  u8: (seed: number, n: number) => Uint8Array.from(indices(seed, n, 256)),
  i8: (seed: number, n: number) => Int8Array.from(uniform(seed, n), (x) => 65 * x),
};

/** Feeds in [-2, 2); indices below `limit`; bytes and, as weights, bytes up to 64. */
const feed = (graph: Graph, seed: number, limit: number) =>
  Object.fromEntries(
    graph.inputs.map(({ name, dtype, shape }, i) => [name, DRAW[dtype](seed + i, size(shape), limit)]),
  );

// Sums of at most 19 products below 4, roundings of 2^-24 each: 1e-5 is generous for one op, and tight enough that a
// transposed axis, a forgotten epsilon or an unshifted softmax cannot hide below it.
test.each(Object.entries(INSTANCES))(
  'ONNX Runtime and the interpreter agree on %s of any shape, within rounding',
  async (_, instance) => {
    await fc.assert(
      fc.asyncProperty(instance, fc.nat(), async ({ op, inputs, limit, positive, tolerance = 1e-5 }, seed) => {
        const graph = single(op, inputs);
        const feeds = feed(graph, seed, limit ?? 1);
        if (positive) feeds['a'] = feeds['a']!.map((x) => 0.5 + Math.abs(x));
        const [got, expected] = await Promise.all([engine, interpreter].map((e) => evaluate(e, graph, feeds)));
        expectClose(got!.y!, expected!.y!, tolerance, JSON.stringify({ op, inputs }));
      }),
      { numRuns: 25 },
    );
  },
);

test('they agree on programs of any ops: every value within 1e-4 of the largest before it', async () => {
  const step = fc.tuple(fc.nat(STEPS.length - 1), fc.nat(), fc.nat());
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: 9 }),
      fc.array(step, { minLength: 2, maxLength: 12 }),
      fc.nat(),
      async (n, steps, seed) => {
        const g = new GraphBuilder('random');
        const values = [g.input('a', [n, n]), g.input('b', [n, n])];
        const rows = g.input('rows', [n], 'i32');
        for (const [which, i, j] of steps) {
          const y = STEPS[which]!(g, values[i % values.length]!, values[j % values.length]!, rows);
          g.output(`y${values.length - 2}`, y);
          values.push(y);
        }
        const graph = g.build();
        const feeds = feed(graph, seed, n);
        const [got, expected] = await Promise.all([engine, interpreter].map((e) => evaluate(e, graph, feeds)));
        let peak = 1;
        steps.forEach(([which], k) => {
          const oracle = expected![`y${k}`]!;
          peak = Float32Array.from(oracle).reduce((a, b) => Math.max(a, Math.abs(b)), peak);
          expect(Number.isFinite(peak)).toBe(true);
          expectClose(got![`y${k}`]!, oracle, 1e-4 * peak, `y${k} = ${STEPS[which]!}, size ${n}`);
        });
      },
    ),
    { numRuns: 150 },
  );
});
