import { expect, test } from 'vitest';
import { interpreter } from '../../src/graph/interpreter.ts';
import { cases, engineSuite } from '../suites/engine.ts';

engineSuite(interpreter);

test('the hand-computed cases name every op', () => {
  expect([...new Set(cases.map((c) => c.op.op))].sort()).toEqual(
    [
      ...['add', 'concat', 'erf', 'gather', 'layerNorm', 'linear', 'linear8', 'logSoftmax', 'matmul', 'mul', 'pick'],
      ...[
        'quantise',
        'relu',
        'reshape',
        'rowScale',
        'rmsNorm',
        'sigmoid',
        'slice',
        'softmax',
        'sub',
        'tanh',
        'transpose',
      ],
    ].sort(),
  );
});
