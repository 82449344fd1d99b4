/** Reshapes that change nothing: what the runtime is given in their place. */
import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { GraphBuilder } from '../../src/graph/graph.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { withoutIdleReshapes } from '../../src/graph/replay.ts';
import { size } from '../../src/graph/shape.ts';
import type { Graph } from '../../src/nouns.ts';
import { expectClose, uniform } from '../suites/arrays.ts';
import { evaluate } from '../suites/engine.ts';

/** How an output comes about, and the ops that are left of it. */
const CASES: Readonly<Record<string, (g: GraphBuilder) => readonly string[]>> = {
  'a result that nothing else reads is made under the name of the output'(g) {
    g.output('y', g.exp(g.input('x', [2, 3])));
    return ['exp'];
  },
  'through reshapes in between as well'(g) {
    g.output('y', g.reshape(g.reshape(g.exp(g.input('x', [2, 3])), [2, 3]), [2, 3]));
    return ['exp'];
  },
  'one that is read again is copied'(g) {
    const x = g.exp(g.input('x', [2, 3]));
    g.output('y', x);
    g.output('z', g.tanh(g.reshape(x, [2, 3])));
    return ['exp', 'reshape', 'tanh'];
  },
  'two outputs of one value are two copies'(g) {
    const x = g.exp(g.input('x', []));
    g.output('y', x);
    g.output('z', x);
    return ['exp', 'reshape', 'reshape'];
  },
  'an input and a constant are copied'(g) {
    g.output('y', g.input('x', [2, 3]));
    g.output('z', g.reshape(g.constant(Float32Array.of(1, 2)), [2]));
    return ['reshape', 'reshape'];
  },
  'what changes a shape stays'(g) {
    g.output('y', g.reshape(g.reshape(g.input('x', [2, 3]), [6]), [3, 2]));
    return ['reshape', 'reshape'];
  },
};

/** Of a program in the interpreter, of what is left of it there, and of both in ONNX Runtime: the same numbers. */
async function check(graph: Graph): Promise<void> {
  const feeds = Object.fromEntries(graph.inputs.map(({ name, shape }, i) => [name, uniform(i, size(shape))]));
  const expected = await evaluate(interpreter, graph, feeds);
  const left = withoutIdleReshapes(graph);
  expect(left.outputs).toEqual(graph.outputs);
  expect(await evaluate(interpreter, left, feeds)).toEqual(expected);
  const got = await evaluate(nodeEngine({ threads: 1 }), graph, feeds);
  for (const [name, y] of Object.entries(expected)) expectClose(got[name]!, y, 1e-6, name);
}

describe('without idle reshapes', () => {
  test.each(Object.entries(CASES))('%s', async (_, write) => {
    const g = new GraphBuilder();
    const ops = write(g);
    expect(withoutIdleReshapes(g.build()).nodes.map(({ op }) => op.op)).toEqual(ops);
    await check(g.build());
  });

  // What ONNX Runtime 1.30 refused: "Node input '%21' is not a graph input, initializer, or output of a previous node".
  // It made a Gemm of product and sum, took the transpose into it, and then did not see that the Gemm reads `a` too.
  test.each([
    ['a term', 2],
    ['a factor', 1],
  ])('an output that is %s beside a product with something transposed', async (_, place) => {
    const g = new GraphBuilder();
    const a = g.mul(g.input('p', [2, 2]), g.scalar(0.25));
    const turned = g.transpose(g.input('q', [2, 2]), [1, 0]);
    const other = g.input('r', [2, 2]);
    const product = g.reshape(g.matmul(turned, place === 1 ? a : other), [2, 2]);
    g.output('a', a);
    g.output('b', g.add(place === 1 ? other : a, product));
    await check(g.build());
  });
});
