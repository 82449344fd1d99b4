import { describe, expect, test } from 'vitest';
import type { Model } from '../../src/model/stage.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import type { Plan } from '../../src/objective/forward.ts';
import { footprint, mastersBytes } from '../../src/peer/memory.ts';
import { withAdapter } from '../model/adapters.ts';
import { fixture } from '../objective/models.ts';

const plan = (change: Partial<Plan['dims']> = {}, perturbation: Plan['perturbation'] = { kind: 'none' }): Plan => ({
  dims: { sequences: 2, tokens: 8, scored: 8, ...change },
  head: { kind: 'lm' },
  perturbation,
});

describe('memory that a replica takes', async () => {
  const { model } = await fixture('opt-tied', referenceKernels());
  const peak = (plans: readonly Plan[], batches = 1): number =>
    footprint(model, { plans, batches }, 0, false).peak - footprint(model, { plans: [], batches }, 0, false).masters;
  const atWork = (plans: readonly Plan[], batches = 1): number => {
    const { scratch, activations, runtime } = footprint(model, { plans, batches }, 0, false);
    return scratch + activations + runtime;
  };

  test('grows with every length of a call, with batches, lanes and programs', () => {
    const least = atWork([plan()]);
    expect(atWork([plan({ sequences: 4 })])).toBeGreaterThan(least);
    expect(atWork([plan({ tokens: 16, scored: 16 })])).toBeGreaterThan(least);
    expect(atWork([plan()], 2)).toBeGreaterThan(least);
    expect(atWork([plan({}, { kind: 'dense' })])).toBeGreaterThan(least);
    expect(atWork([plan(), plan({ tokens: 4, scored: 4 })])).toBeGreaterThan(least);
  });

  test('a group of batches is what is in memory, however many there are', () => {
    expect(atWork([plan()], 16)).toBe(atWork([plan()], 1000));
  });

  test('embeddings of a prompt count behind the first stage; what stands still has no sides', async () => {
    const { model: prompted } = await withAdapter('opt-tied', { prompt: { tokens: 8 } });
    const activations = (of: Model, tokens: number) =>
      footprint(of, { plans: [plan({ tokens, scored: 1 })], batches: 1 }, 0, false).activations;
    expect(activations(prompted, 8)).toBe(activations(model, 16));
    const { model: adapted } = await withAdapter('opt-tied', { lora: { rank: 1, alpha: 1, targets: ['q_proj'] } });
    const sided = (of: Model) =>
      footprint(of, { plans: [plan({}, { kind: 'sided', rank: 16 })], batches: 1 }, 0, false);
    expect(sided(adapted).runtime).toBeLessThan(sided(model).runtime);
    expect(sided(adapted).scratch).toBeLessThan(sided(model).scratch);
    expect(sided(adapted).masters).toBeGreaterThan(sided(model).masters);
  });

  test('the same calls twice are the same programs', () => {
    expect(peak([plan(), plan()])).toBe(peak([plan()]));
  });

  test('with blocks on disk, two of them and what belongs to none are in memory', () => {
    const grown = model.blocks.map((block) => ({
      ...block,
      bindings: block.bindings.map((binding) => ({ ...binding, tensor: `more.${binding.tensor}` })),
    }));
    const own = new Set(model.blocks.flatMap(({ bindings }) => bindings.map(({ tensor }) => tensor)));
    const more = model.tensors
      .filter(({ name }) => own.has(name))
      .map((spec) => ({ ...spec, name: `more.${spec.name}` }));
    const deep = { tensors: [...model.tensors, ...more], blocks: [...model.blocks, ...grown] };
    expect(model.blocks).toHaveLength(2);
    expect(mastersBytes(deep, false)).toBeGreaterThan(mastersBytes(model, false));
    expect(mastersBytes(deep, true)).toBe(mastersBytes(model, false));
  });
});
