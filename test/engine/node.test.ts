import { expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { engineSuite } from '../suites/engine.ts';

engineSuite(nodeEngine({ threads: 1 }));

test('refuses a number of threads that is none', () => {
  for (const threads of [0, -1, 1.5, Number.NaN]) expect(() => nodeEngine({ threads })).toThrow(/"threads" expected/);
});
