import { expect, test } from 'vitest';
import { interpreter } from '../../src/graph/interpreter.ts';
import { cases, engineSuite } from '../suites/engine.ts';

engineSuite(interpreter);

test('the hand-computed cases name every op', () => {
  expect([...new Set(cases.map((c) => c.op.op))].sort()).toEqual(
    [
      ...['add', 'concat', 'erf', 'exp', 'gather', 'layerNorm', 'linear', 'linear8', 'logSoftmax'],
      ...['matmul', 'mul', 'oneHot', 'pick', 'quantise', 'relu', 'reshape', 'rmsNorm', 'rowScale'],
      ...['rsqrt', 'sigmoid', 'slice', 'softmax', 'step', 'sub', 'sum', 'tanh', 'transpose'],
    ].sort(),
  );
});
