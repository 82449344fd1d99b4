/**
 * Derivatives of programs against calculus: central differences of the same program evaluated in doubles, where what is
 * left of a difference of order h⁴ and of rounding is far below what any wrong rule would show.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { GraphBuilder } from '../../src/graph/graph.ts';
import { inDoubles, interpreter } from '../../src/graph/interpreter.ts';
import { DOT, jvp } from '../../src/graph/jvp.ts';
import { size } from '../../src/graph/shape.ts';
import { BAR, KEPT, splitVjp, vjp } from '../../src/graph/vjp.ts';
import type { Graph, Op } from '../../src/nouns.ts';
import { expectClose, indices, uniform } from '../suites/arrays.ts';
import { evaluate, single } from '../suites/engine.ts';
import { INSTANCES, type Instance, STEPS } from '../suites/programs.ts';

type Doubles = Record<string, Float64Array | Int32Array>;

const floats = (seed: number, n: number): Float64Array => Float64Array.from(uniform(seed, n), (x) => 2 * x);

/** Away from 0, where relu bends and step jumps. */
const apart = (x: number): number => x + (x < 0 ? -0.25 : 0.25);

function feedsOf(graph: Graph, seed: number, { limit = 1, positive = false }: Partial<Instance>): Doubles {
  const feeds: Doubles = {};
  for (const [i, { name, dtype, shape }] of graph.inputs.entries())
    feeds[name] =
      dtype === 'i32'
        ? indices(seed + i, size(shape), limit)
        : floats(seed + i, size(shape)).map((x) => (positive ? 0.5 + Math.abs(x) : apart(x)));
  return feeds;
}

const differentiable = (graph: Graph): string[] =>
  graph.inputs.filter(({ dtype }) => dtype === 'f32').map(({ name }) => name);

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0);

/** d/dt of every output at inputs + t · tangents, by central differences of order h⁴. */
function differences(graph: Graph, feeds: Doubles, tangents: Doubles): Record<string, Float64Array> {
  const h = 2 ** -12;
  const at = (t: number) => {
    const moved = Object.entries(feeds).map(([name, x]) => {
      const tangent = tangents[name];
      return [name, tangent ? Float64Array.from(x, (value, i) => value + t * tangent[i]!) : x] as const;
    });
    return inDoubles(graph, Object.fromEntries(moved));
  };
  const [a, b, c, d] = [at(h), at(-h), at(2 * h), at(-2 * h)];
  return Object.fromEntries(
    graph.outputs.map(({ name }) => [
      name,
      a[name]!.map((_, i) => (8 * (a[name]![i]! - b[name]![i]!) - (c[name]![i]! - d[name]![i]!)) / (12 * h)),
    ]),
  );
}

/** Tangents of the inputs and cotangents of the outputs, by the names that derived programs give them. */
function directions(
  graph: Graph,
  wrt: readonly string[],
  seed: number,
): { tangents: Doubles; dots: Doubles; bars: Doubles } {
  const shapeOf = new Map(graph.inputs.map(({ name, shape }) => [name, shape]));
  const tangents = Object.fromEntries(wrt.map((name, i) => [name, floats(seed + 100 + i, size(shapeOf.get(name)!))]));
  return {
    tangents,
    dots: Object.fromEntries(wrt.map((name) => [name + DOT, tangents[name]!])),
    bars: Object.fromEntries(
      graph.outputs.map(({ name, shape }, i) => [name + BAR, floats(seed + 200 + i, size(shape))]),
    ),
  };
}

/** Both derivatives against differences. @returns the largest number that was compared. */
function check(graph: Graph, wrt: readonly string[], feeds: Doubles, seed: number, tolerance: number): void {
  const { tangents, dots, bars } = directions(graph, wrt, seed);
  const expected = differences(graph, feeds, tangents);
  const forward = inDoubles(jvp(graph, wrt), { ...feeds, ...dots });
  const backward = inDoubles(vjp(graph, wrt), { ...feeds, ...bars });
  const plain = inDoubles(graph, feeds);
  for (const { name } of graph.outputs) {
    expectClose(forward[name]!, plain[name]!, 0, `${name} of the jvp`);
    const scale = Math.max(1, ...expected[name]!.map(Math.abs));
    expectClose(forward[name + DOT]!, expected[name]!, tolerance * scale, `${name}${DOT} of ${JSON.stringify(graph)}`);
  }
  // <ȳ, J ẋ> = <Jᵀ ȳ, ẋ>; with ẋ all numbers are drawn, so that one wrong element shows.
  const there = graph.outputs.reduce((sum, { name }) => sum + dot(bars[name + BAR]!, forward[name + DOT]!), 0);
  const back = wrt.reduce((sum, name) => sum + dot(backward[name + BAR]!, tangents[name]!), 0);
  const sum = graph.outputs.reduce(
    (most, { name }) => most + dot(bars[name + BAR]!.map(Math.abs), forward[name + DOT]!.map(Math.abs)),
    1,
  );
  expect(Math.abs(there - back)).toBeLessThanOrEqual(1e-11 * sum);
}

/** Constants of programs, such as 1/n of a mean, are f32: 3e-8 of a number, ten times that where rows are nearly alike. */
const NEAR = 1e-6;

const BYTES: readonly Op['op'][] = ['rowScale', 'quantise', 'linear8'];
const SMOOTH = Object.entries(INSTANCES).filter(([op]) => !BYTES.includes(op as Op['op']));

describe('every op, at any shape it takes', () => {
  test.each(SMOOTH)('%s: jvp is the limit of differences, vjp its transpose', (_, instance) => {
    fc.assert(
      fc.property(instance, fc.nat(), (drawn, seed) => {
        const graph = single(drawn.op, drawn.inputs);
        const wrt = differentiable(graph);
        if (wrt.length === 0) return;
        check(graph, wrt, feedsOf(graph, seed, drawn), seed, NEAR);
        for (const name of wrt) check(graph, [name], feedsOf(graph, seed, drawn), seed, NEAR);
      }),
      { numRuns: 40 },
    );
  });

  test.each([false, true])('linear with a bias for every row, or an addend (%s)', (whole) => {
    const graph = single({ op: 'linear' }, [{ shape: [3, 4] }, { shape: [5, 4] }, { shape: whole ? [3, 5] : [5] }]);
    for (const wrt of [['a', 'b', 'c'], ['c'], ['a', 'c']]) check(graph, wrt, feedsOf(graph, 3, {}), 5, 1e-8);
  });
});

describe('programs of any ops', () => {
  const step = fc.tuple(fc.nat(STEPS.length - 1), fc.nat(), fc.nat());
  const programs = fc.record({
    n: fc.integer({ min: 2, max: 5 }),
    steps: fc.array(step, { minLength: 1, maxLength: 8 }),
    seed: fc.nat(),
  });

  function write(n: number, steps: readonly (readonly [number, number, number])[]): Graph {
    const g = new GraphBuilder('random');
    const values = [g.input('a', [n, n]), g.input('b', [n, n])];
    const rows = g.input('rows', [n], 'i32');
    // Results stay below 1, so that products of products do not drown what is compared.
    for (const [which, i, j] of steps) {
      const y = STEPS[which]!(g, values[i % values.length]!, values[j % values.length]!, rows);
      values.push(g.tanh(g.mul(y, g.scalar(0.25))));
    }
    g.output('last', values.at(-1)!);
    g.output('middle', values[values.length >> 1]!);
    return g.build();
  }

  test('jvp is the limit of differences, vjp its transpose, whatever is used how often', () => {
    fc.assert(
      fc.property(programs, ({ n, steps, seed }) => {
        // relu and step of a value near 0 have no derivative there that a difference could show.
        const smooth = steps.filter(([which]) => !/relu|step/.test(String(STEPS[which])));
        const graph = write(n, smooth);
        for (const wrt of [['a', 'b'], ['b']]) check(graph, wrt, feedsOf(graph, seed, { limit: n }), seed, 1e-6);
      }),
      { numRuns: 150 },
    );
  });

  test('a derivative in two programs is that in one, to the bit, and makes no product twice', () => {
    fc.assert(
      fc.property(programs, fc.boolean(), ({ n, steps, seed }, whole) => {
        const graph = write(n, steps);
        const wrt = whole ? ['a', 'b'] : ['b'];
        const feeds = feedsOf(graph, seed, { limit: n });
        const { bars } = directions(graph, wrt, seed);
        const { forward, backward } = splitVjp(graph, wrt);
        const outputs = inDoubles(forward, feeds);
        const kept = Object.entries(outputs).filter(([name]) => name.endsWith(KEPT));
        expect(Object.fromEntries(Object.entries(outputs).filter(([name]) => !name.endsWith(KEPT)))).toEqual(
          inDoubles(graph, feeds),
        );
        const expected = inDoubles(vjp(graph, wrt), { ...feeds, ...bars });
        expect(inDoubles(backward, { ...feeds, ...bars, ...Object.fromEntries(kept) })).toEqual(expected);
        expect(backward.nodes.filter(({ op }) => op.op === 'linear')).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  test('of a rectified product the rectified is kept, and of products nobody reads again nothing', () => {
    const g = new GraphBuilder('two layers');
    const [x, v, w] = [g.input('x', [3, 4]), g.input('v', [6, 4]), g.input('w', [2, 6])];
    g.output('y', g.linear(g.relu(g.linear(x, v)), w));
    const { forward, backward } = splitVjp(g.build(), ['x', 'v', 'w']);
    const kept = forward.outputs.filter(({ name }) => name.endsWith(KEPT));
    expect(kept.map(({ shape }) => shape)).toEqual([[3, 6]]);
    expect(backward.nodes.filter(({ op }) => op.op === 'relu')).toEqual([]);
  });

  describe('ONNX Runtime and the interpreter agree on derived programs, within rounding', () => {
    const engine = nodeEngine({ threads: 1 });

    type Drawn = typeof programs extends fc.Arbitrary<infer T> ? T : never;
    async function checkAgreement({ n, steps, seed }: Drawn): Promise<void> {
      const graph = write(n, steps);
      const { dots, bars } = directions(graph, ['a', 'b'], seed);
      for (const [derived, more] of [
        [jvp(graph, ['a', 'b']), dots],
        [vjp(graph, ['a', 'b']), bars],
      ] as const) {
        const feeds = Object.fromEntries(
          Object.entries({ ...feedsOf(graph, seed, { limit: n }), ...more }).map(([name, x]) => [
            name,
            x instanceof Int32Array ? x : Float32Array.from(x),
          ]),
        );
        const [got, expected] = await Promise.all([engine, interpreter].map((e) => evaluate(e, derived, feeds)));
        for (const { name } of derived.outputs) {
          const peak = Float32Array.from(expected![name]!).reduce((a, b) => Math.max(a, Math.abs(b)), 1);
          const what = `${name} of ${derived.name}, ${JSON.stringify(steps)}`;
          expectClose(got![name]!, expected![name]!, 1e-4 * peak, what);
        }
      }
    }

    test('whatever they are made of', async () => {
      await fc.assert(fc.asyncProperty(programs, checkAgreement), { numRuns: 60 });
    });

    // gather of b, b + a: b.bar = a.bar + (one-hot rows)ᵀ · …, of which the runtime lost a.bar; see `toOnnx`
    test('where a cotangent is an output, and added to a product with something transposed', () =>
      checkAgreement({
        n: 2,
        steps: [
          [20, 1, 0],
          [2, 1, 0],
        ],
        seed: 0,
      }));
  });
});

describe('what is derived', () => {
  const g = new GraphBuilder('two');
  const [x, w] = [g.input('x', [2, 3]), g.input('w', [4, 3])];
  g.output('y', g.relu(g.linear(x, w)));
  g.output('z', g.exp(x));
  const graph = g.build();

  test('inputs are those of the program and a cotangent of every output, outputs what was asked for', () => {
    const { inputs, outputs } = vjp(graph, ['w']);
    expect(inputs.map(({ name }) => name)).toEqual(['x', 'w', 'y.bar', 'z.bar']);
    expect(outputs).toEqual([{ name: 'w.bar', dtype: 'f32', shape: [4, 3] }]);
  });

  test('inputs are those of the program and a tangent of each that moves, outputs and their tangents', () => {
    const { inputs, outputs } = jvp(graph, ['w']);
    expect(inputs.map(({ name }) => name)).toEqual(['x', 'w', 'w.dot']);
    expect(outputs.map(({ name }) => name)).toEqual(['y', 'y.dot', 'z', 'z.dot']);
  });

  test('what no output needs is not computed', () => {
    const ops = (derived: Graph) => derived.nodes.map(({ op }) => op.op);
    expect(ops(vjp(graph, ['w']))).not.toContain('exp');
    expect(ops(vjp(graph, ['x']))).toContain('exp');
  });

  test('an input that nothing depends on has derivative 0', () => {
    const still = new GraphBuilder('still');
    const a = still.input('a', [2]);
    still.output('y', still.step(a));
    still.input('b', [2]);
    const feeds = { a: Float64Array.of(1, 2), b: Float64Array.of(1, 2) };
    const one = Float64Array.of(1, 1);
    const derived = vjp(still.build(), ['a', 'b']);
    expect(inDoubles(derived, { ...feeds, 'y.bar': one })).toEqual({
      'a.bar': Float64Array.of(0, 0),
      'b.bar': Float64Array.of(0, 0),
    });
    expect(inDoubles(jvp(still.build(), ['a']), { ...feeds, 'a.dot': one })['y.dot']).toEqual(Float64Array.of(0, 0));
  });

  test.each([
    ['vjp', vjp],
    ['jvp', jvp],
  ])('%s refuses what has no derivative, by name', (_, derive) => {
    expect(() => derive(graph, ['v'])).toThrow('"wrt" expected f32 inputs of program "two", got "v"');
    const bytes = new GraphBuilder('bytes');
    const a = bytes.input('a', [2, 3]);
    const scale = bytes.rowScale(a);
    const b = bytes.input('b', [2]);
    bytes.output('y', bytes.add(bytes.linear8(bytes.quantise(a, scale), scale, bytes.input('w', [3, 2], 'i8'), b), b));
    expect(() => derive(bytes.build(), ['a'])).toThrow(/^"(rowScale|linear8)" of program "bytes" has no derivative$/);
    expect(() => derive(bytes.build(), ['b'])).toThrow('"linear8" of program "bytes" has no derivative');
  });
});
