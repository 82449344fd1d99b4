import { expect, test } from 'vitest';
import { GraphBuilder } from '../../src/graph/graph.ts';
import { workingSet } from '../../src/graph/working-set.ts';

test('values live from where they are made to where they are last used; inputs and outputs are not counted', () => {
  const g = new GraphBuilder();
  const x = g.input('x', [2, 100]);
  const wide = g.linear(x, g.input('w', [50, 100])); // 100 floats
  const a = g.relu(wide); // 100 + 100
  const b = g.sigmoid(wide); // 300: `wide` goes after this
  const product = g.mul(a, b); // 300 again: `a` and `b` go after this
  const narrow = g.slice(product, 1, 0, 5); // 100 + 10
  g.output('y', narrow); // given
  expect(workingSet(g.build())).toBe(4 * 300);
});

test('a value that is used twice by one node is freed once', () => {
  const g = new GraphBuilder();
  const doubled = g.relu(g.input('x', [1, 8])); // 8
  const square = g.mul(doubled, doubled); // 16, then 8
  g.output('y', g.relu(square)); // 16
  expect(workingSet(g.build())).toBe(4 * 16);
});

test('bytes, not elements: an 8-bit value takes one each', () => {
  const g = new GraphBuilder();
  const x = g.input('x', [3, 16]);
  const scale = g.rowScale(x); // 12 bytes
  const q = g.quantise(x, scale); // + 48 bytes
  const out = g.linear8(q, scale, g.input('w', [16, 2], 'i8'), g.input('s', [2])); // + 24 bytes
  g.output('y', out);
  expect(workingSet(g.build())).toBe(12 + 48 + 24);
});
