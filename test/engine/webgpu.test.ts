import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { measureRecords } from '../../src/method/onebyte.ts';
import type { Direction } from '../../src/nouns.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import type { Engine } from '../../src/ports.ts';
import { smallLearner } from '../peer/learner.ts';
import { adapter, unless } from '../suites/adapter.ts';
import { engineSuite } from '../suites/engine.ts';

describe.skipIf(!adapter)(`on WebGPU${unless}`, () => {
  const engine = nodeEngine({ threads: 1, device: 'webgpu' });
  engineSuite(engine);

  test.each<Direction>([
    { kind: 'lowrank', rank: 2, scale: Math.SQRT1_2 },
    { kind: 'rademacher', rank: 1, scale: 1 },
  ])('a peer on a GPU measures the bytes of the oracle, but for roundings of a unit ($kind)', async (direction) => {
    const codes = async (on: Engine) => {
      const learner = await smallLearner({ engine: on, kernels: referenceKernels(), direction });
      const { initial_scale: scale, clip } = learner.manifest;
      return measureRecords(learner, { round: 0, scale, clip }, 0, 4);
    };
    const [got, expected] = [await codes(engine), await codes(interpreter)];
    expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(10);
    for (const [i, code] of got.entries()) expect(Math.abs(code - expected[i]!), `record ${i}`).toBeLessThanOrEqual(1);
  });
});
