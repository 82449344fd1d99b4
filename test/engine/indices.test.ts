import { expect, test } from 'vitest';
import { checkIndices, indexingOf } from '../../src/engine/indices.ts';
import { GraphBuilder } from '../../src/graph/graph.ts';

test('every array of indices has the limit of the axis it reads, rows for gather, columns for pick and oneHot', () => {
  const g = new GraphBuilder('sample');
  const rows = g.gather(g.input('table', [3, 5]), g.input('at', [2], 'i32'));
  g.output('y', g.pick(rows, g.input('column', [2], 'i32')));
  g.output('z', g.oneHot(g.input('hot', [1], 'i32'), 4));
  const indexing = indexingOf(g.build());
  const check =
    (at: readonly number[], column: readonly number[], hot = 3) =>
    () =>
      checkIndices(indexing, { at: Int32Array.from(at), column: Int32Array.from(column), hot: Int32Array.of(hot) });
  expect(check([0, 2], [4, 0])).not.toThrow();
  expect(check([0, 3], [4, 0])).toThrow('index 3 of "at" is not in 0 … 2');
  expect(check([0, 2], [0, 5])).toThrow('index 5 of "column" is not in 0 … 4');
  expect(check([-1, 2], [0, 0])).toThrow('index -1 of "at"');
  expect(check([0, 2], [4, 0], 4)).toThrow('index 4 of "hot" is not in 0 … 3');
  expect(indexingOf(g.build(), ['gather', 'pick']).map(({ name }) => name)).toEqual(['hot']);
});

test('indices that a program computes are refused, since nobody could check them', () => {
  const g = new GraphBuilder('computed');
  const index = g.slice(g.input('at', [4], 'i32'), 0, 0, 2);
  g.output('y', g.gather(g.input('table', [3, 5]), index));
  expect(() => indexingOf(g.build())).toThrow(/of gather is not an input/);
});
