/**
 * A sequence's numbers must not depend on its company: the loss of a sample is a fact about the sample, whoever
 * measures it and with whatever else in the call (DESIGN 4). These tests hold ONNX Runtime to it, bit for bit.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { GraphBuilder } from '../../src/graph/graph.ts';
import { size } from '../../src/graph/shape.ts';
import type { Graph, Value } from '../../src/nouns.ts';
import type { Program } from '../../src/ports.ts';
import { indices, uniform } from '../suites/arrays.ts';

const [T, H, K, F, V, R] = [12, 4, 16, 72, 96, 2]; // tokens, heads, head size, inner width, vocabulary, direction rank
const D = H * K;

/** A transformer block with low-rank directions of each sequence's own, and a head with loss: every op a model uses. */
function block(S: number, precision: 'f32' | 'int8'): Graph {
  const g = new GraphBuilder(`block of ${S}`);
  const x = g.input('x', [S * T, D]);
  const mask = g.constant(
    Float32Array.from({ length: T * T }, (_, i) => (i % T > Math.floor(i / T) ? -1e9 : 0)),
    [T, T],
  );
  const base = (name: string, y: Value, i: number, o: number): Value => {
    if (precision === 'f32') return g.linear(y, g.input(name, [o, i]));
    const scale = g.rowScale(y);
    const w = g.input(name, [i, o], 'i8');
    return g.linear8(g.quantise(y, scale), scale, w, g.input(`${name}.scale`, [o]));
  };
  const linear = (name: string, y: Value, i: number, o: number): Value => {
    const v = g.input(`${name}.v`, [S, R, i]);
    const u = g.input(`${name}.u`, [S, R, o]);
    const aside = g.matmul(g.matmul(g.reshape(y, [S, T, i]), g.transpose(v, [0, 2, 1])), u);
    return g.add(base(name, y, i, o), g.reshape(aside, [S * T, o]));
  };
  const heads = (y: Value): Value => g.transpose(g.reshape(y, [S, T, H, K]), [0, 2, 1, 3]);
  const gain = (y: Value): Value => g.reshape(g.mul(g.reshape(y, [S, T, D]), g.input('gain', [S, 1, D])), [S * T, D]);

  const y = gain(g.rmsNorm(x, 1e-5));
  const [q, k, v] = ['q', 'k', 'v'].map((name) => heads(linear(name, y, D, D)));
  const scores = g.add(g.mul(g.matmul(q!, g.transpose(k!, [0, 1, 3, 2])), g.scalar(K ** -0.5)), mask);
  const mixed = g.reshape(g.transpose(g.matmul(g.softmax(scores), v!), [0, 2, 1, 3]), [S * T, D]);
  const attended = g.add(x, linear('o', mixed, D, D));
  const z = g.layerNorm(attended, 1e-5);
  const gate = linear('gate', z, D, F);
  const inner = g.mul(g.mul(gate, g.sigmoid(gate)), linear('up', z, D, F));
  const out = g.add(attended, linear('down', inner, F, D));
  g.output('y', out);
  const logits = base('head', out, D, V);
  g.output('nll', g.sub(g.scalar(0), g.pick(g.logSoftmax(logits), g.input('targets', [S * T], 'i32'))));
  return g.build();
}

const isShared = (name: string): boolean =>
  ['q', 'k', 'v', 'o', 'gate', 'up', 'down', 'head'].includes(name.replace('.scale', ''));

/** Feeds for the sequences called `members`: what belongs to a sequence depends on its number alone. */
const feedsOf = (graph: Graph, members: readonly number[]) =>
  Object.fromEntries(
    graph.inputs.map(({ name, dtype, shape }, i) => {
      if (dtype === 'i8') return [name, Int8Array.from(uniform(1 + i, size(shape)), (w) => 64 * w)];
      if (name.endsWith('.scale')) return [name, uniform(1 + i, size(shape)).map((w) => (1 + w) / 256)];
      if (isShared(name)) return [name, uniform(1 + i, size(shape)).map((w) => w / 4)];
      const each = size(shape) / members.length;
      const own = members.map((m) => (dtype === 'f32' ? uniform : indices)(1000 * m + i, each, V));
      return [
        name,
        dtype === 'f32' ? Float32Array.from(own.flatMap((a) => [...a])) : Int32Array.from(own.flatMap((a) => [...a])),
      ];
    }),
  );

async function run(program: Program, graph: Graph, members: readonly number[]) {
  const outputs = { y: new Float32Array(members.length * T * D), nll: new Float32Array(members.length * T) };
  await program.run(feedsOf(graph, members), outputs);
  return members.map((_, s) => ({
    y: outputs.y.slice(s * T * D, (s + 1) * T * D),
    nll: outputs.nll.slice(s * T, (s + 1) * T),
  }));
}

describe.each([
  [1, 'f32'],
  [2, 'f32'],
  [1, 'int8'],
  [2, 'int8'],
] as const)('with %i threads in %s', (threads, precision) => {
  const S = 6;
  const graph = block(S, precision);
  let program: Program;
  beforeAll(async () => {
    program = await nodeEngine({ threads }).compile(graph);
  });
  afterAll(() => program.release());

  test('a sequence has the same bits at every place of a call', async () => {
    const members = [0, 1, 2, 3, 4, 5];
    const expected = await run(program, graph, members);
    for (let turn = 1; turn < S; turn++) {
      const turned = members.map((m) => (m + turn) % S);
      const got = await run(program, graph, turned);
      turned.forEach((m, place) => {
        expect(got[place], `sequence ${m} at place ${place}`).toEqual(expected[m]);
      });
    }
  });

  test('a sequence has the same bits in any company', async () => {
    const [alone] = await run(program, graph, [7, 7, 7, 7, 7, 7]);
    const company = await run(program, graph, [31, 8, 7, 30, 12, 9]);
    expect(company[2]).toEqual(alone);
    expect(company[1]).not.toEqual(alone);
  });

  test('the same call gives the same bits again', async () => {
    const expected = await run(program, graph, [5, 4, 3, 2, 1, 0]);
    for (let again = 0; again < 20; again++) {
      expect(await run(program, graph, [5, 4, 3, 2, 1, 0])).toEqual(expected);
    }
  });
});
