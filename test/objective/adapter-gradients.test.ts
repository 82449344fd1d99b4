/** What an adapter's tensors are differentiated by: along a direction and back, whatever they stand in front of. */
import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { forwardGradient } from '../../src/estimator/forward-gradient.ts';
import { spsa } from '../../src/estimator/spsa.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { viewOf } from '../../src/model/view.ts';
import type { Direction } from '../../src/nouns.ts';
import { direction as noise } from '../../src/numeric/reference/direction.ts';
import { createBackward } from '../../src/objective/backward.ts';
import { createForward } from '../../src/objective/forward.ts';
import { createTangent } from '../../src/objective/tangent.ts';
import { CASES, openCase } from '../model/adapters.ts';
import { key, LM, smallKernels, windowOf } from './models.ts';

const DIRECTIONS: readonly Direction[] = [
  { kind: 'lowrank', rank: 1, scale: 1 },
  { kind: 'rademacher', rank: 1, scale: 1 },
];
const NO_CHOICES = new Int32Array(0);

describe.each(CASES)('%s', (name) => {
  test.each(DIRECTIONS)('$kind: the tangent, the gradient and two losses agree', async (direction) => {
    const opened = await openCase(name);
    const { model } = opened;
    const weights = await opened.weights(await smallKernels());
    const view = new Set(viewOf(model, model.adapter!.view));
    const kept = (id: number): boolean => view.has(id);
    const examples = [0, 1].map((seed) => windowOf(seed, model.vocabulary));
    const probes = [{ key: key(3), examples }];
    const measured = { task: LM, choices: NO_CHOICES, positions: model.positions };

    const tangent = createTangent(model, weights, interpreter);
    const [along] = await forwardGradient({ tangent, ...measured }, direction, probes, kept);
    const backward = createBackward(model, weights, interpreter);
    const { tensors } = await backward.gradient(batchExamples(examples), { task: LM, choices: NO_CHOICES }, kept);
    let [back, square] = [0, 0];
    for (const spec of model.tensors.filter(({ id }) => kept(id))) {
      const z = noise(spec, direction.kind, direction.rank, key(3));
      tensors.get(spec.name)!.forEach((g, i) => {
        back += g * z[i]! * direction.scale;
        square += g * g;
      });
    }
    expect(square).toBeGreaterThan(0);
    const near = 1e-4 * Math.sqrt(square * view.size);
    expect(Math.abs(along! - back)).toBeLessThan(near);

    const forward = createForward(model, weights, interpreter);
    const [apart] = await spsa({ forward, ...measured }, direction, 2e-3, probes, kept);
    expect(Math.abs(apart! - back)).toBeLessThan(near + 0.05 * Math.sqrt(square));
  });
});
