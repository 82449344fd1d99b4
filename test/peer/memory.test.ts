import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { workingSet } from '../../src/graph/working-set.ts';
import type { Model } from '../../src/model/stage.ts';
import type { Graph } from '../../src/nouns.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { createBackward } from '../../src/objective/backward.ts';
import type { Plan } from '../../src/objective/forward.ts';
import { backwardDemand, type Demand, forwardDemand, tangentDemand, writingDemand } from '../../src/peer/demand.ts';
import { footprint, mastersBytes, NO_STATE, stateAlong, stateOf } from '../../src/peer/memory.ts';
import type { Engine } from '../../src/ports.ts';
import { withAdapter } from '../model/adapters.ts';
import { fixture, LM, windowOf } from '../objective/models.ts';

const plan = (change: Partial<Plan['dims']> = {}, perturbation: Plan['perturbation'] = { kind: 'none' }): Plan => ({
  dims: { sequences: 2, tokens: 8, scored: 8, ...change },
  head: { kind: 'lm' },
  perturbation,
});

describe('memory that a replica takes', async () => {
  const { model } = await fixture('opt-tied', referenceKernels());
  const of = (plans: readonly Plan[], batches = 1, own: Model = model) =>
    footprint(own, [forwardDemand(own, plans, batches)], NO_STATE, 0, false);
  const peak = (plans: readonly Plan[], batches = 1): number => of(plans, batches).peak - of([], batches).masters;
  const atWork = (plans: readonly Plan[], batches = 1): number => {
    const { scratch, activations, runtime } = of(plans, batches);
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
    const activations = (own: Model, tokens: number) => of([plan({ tokens, scored: 1 })], 1, own).activations;
    expect(activations(prompted, 8)).toBe(activations(model, 16));
    const { model: adapted } = await withAdapter('opt-tied', { lora: { rank: 1, alpha: 1, targets: ['q_proj'] } });
    const sided = (own: Model) => of([plan({}, { kind: 'sided', rank: 16 })], 1, own);
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

/** Elements of these tensors. */
const sum = (tensors: Model['tensors']): number =>
  tensors.reduce((all, { shape }) => all + shape.reduce((a, b) => a * b, 1), 0);

describe('memory beside the weights', async () => {
  const { model } = await fixture('opt-tied', referenceKernels());
  const all = sum(model.tensors);
  const rounds = { view: 'full' } as const;
  const adam = { kind: 'adam', beta1: 0.9, beta2: 0.99, epsilon: 1e-8 } as const;

  test('Adam keeps 16 bytes of each weight that is trained; other steps keep none', () => {
    expect(stateOf(model, { ...rounds, optimizer: adam }).moments).toBe(16 * all);
    const last = stateOf(model, { view: { last_blocks: 1 }, optimizer: adam }).moments;
    expect(last).toBeGreaterThan(0);
    expect(last).toBeLessThan(8 * all);
    expect(stateOf(model, { ...rounds, optimizer: { kind: 'momentum', beta: 0.9, window: 66 } })).toEqual(NO_STATE);
    expect(stateOf(model, rounds)).toEqual(NO_STATE);
  });

  test('a mask of elements is a bit of each weight, in blocks of 128', () => {
    const { masks } = stateOf(model, { ...rounds, element_mask: { by: 'random', kept: 1, of: 5 } });
    const blocks = model.tensors.reduce((n, tensor) => n + Math.ceil(sum([tensor]) / 128), 0);
    expect(masks).toBe(16 * blocks);
  });

  test('along a gradient: its floats, twice where batches add up, and the moments of AdamW or SGD', () => {
    const everything = () => true;
    expect(stateAlong(model, everything, 2, 1)).toEqual({ moments: 8 * all, masks: 0, step: 4 * all });
    expect(stateAlong(model, everything, 1, 4)).toEqual({ moments: 4 * all, masks: 0, step: 8 * all });
    expect(stateAlong(model, (id) => id === 0, 2, 1).moments).toBe(8 * sum([model.tensors[0]!]));
  });

  test('all parts are in the peak, and what one call needs for a while the next one uses again', () => {
    const demand = (scratch: number, bytes: number, programs: readonly string[]): Demand => ({
      ...{ scratch, activations: bytes },
      programs: new Map(programs.map((name) => [name, 1000])),
    });
    const state = { moments: 10_000_000, masks: 300, step: 70_000 };
    const two = [demand(100, 5000, ['a', 'b']), demand(60, 2000, ['b', 'c'])];
    const { peak, base, masters, loading, ...parts } = footprint(model, two, state, 9, false);
    expect(parts).toMatchObject({ ...state, activations: 7000, runtime: 3000 });
    expect(parts.scratch).toBe(400);
    expect(peak).toBe(base + masters + Object.values(parts).reduce((a, b) => a + b));
    expect(footprint(model, [], NO_STATE, 9, false).peak).toBe(base + masters + loading);
  });

  test('tangents double activations and have programs of their own', () => {
    const direction = { kind: 'binomial', rank: 1, scale: 0.5 } as const;
    const moving = tangentDemand(model, direction, [plan()], 1, () => true);
    const still = forwardDemand(model, [plan()], 1);
    expect(moving.activations).toBe(2 * still.activations);
    expect(moving.scratch).toBeGreaterThan(still.scratch);
    const bytes = ({ programs }: Demand) => [...programs.values()].reduce((a, b) => a + b);
    expect(bytes(moving)).toBeGreaterThan(bytes(still));
    const none = tangentDemand(model, direction, [plan()], 1, () => false);
    expect([...none.programs.values()]).toEqual([...still.programs.values()]);
  });

  test('a gradient keeps what every block reads, from the first that is trained on', () => {
    const last = model.blocks.at(-1)!.bindings.map(({ tensor }) => tensor);
    const ids = new Set(model.tensors.filter(({ name }) => last.includes(name)).map(({ id }) => id));
    const whole = backwardDemand(model, [plan()], 1, () => true);
    const end = backwardDemand(model, [plan()], 1, (id) => ids.has(id));
    expect(end.activations).toBeLessThan(whole.activations);
    expect(whole.activations).toBeGreaterThan(forwardDemand(model, [plan()], 1).activations);
    expect(backwardDemand(model, [plan()], 3, () => true).activations).toBeGreaterThan(whole.activations);
  });

  test('of a choice, logits of the labels are kept and not those of all words', () => {
    const head = { kind: 'choice', choices: 3 } as const;
    const [lm, choice] = [plan(), { ...plan(), head }].map((call) => backwardDemand(model, [call], 1, () => true));
    expect(lm!.activations - choice!.activations).toBeGreaterThanOrEqual(4 * 2 * 8 * (model.vocabulary - 3));
  });

  test.each([
    ['everything', undefined],
    ['the last block', undefined],
    ['embeddings of a prompt', { prompt: { tokens: 3 } }],
    ['LoRA', { lora: { rank: 1, alpha: 1, targets: ['q_proj'] } }],
  ] as const)('a gradient compiles the programs that are foreseen: %s', async (what, adapter) => {
    const kernels = referenceKernels();
    const opened = adapter && (await withAdapter('opt-tied', adapter));
    const small = opened
      ? { model: opened.model, weights: await opened.weights(kernels) }
      : await fixture('opt-tied', kernels);
    const last = small.model.blocks.at(-1)!.bindings.map(({ tensor }) => tensor);
    const ids = small.model.tensors.filter(({ name }) => last.includes(name)).map(({ id }) => id);
    const wanted = (id: number): boolean => what !== 'the last block' || ids.includes(id);
    const compiled: Graph[] = [];
    const engine: Engine = {
      ...interpreter,
      compile: (graph) => {
        compiled.push(graph);
        return interpreter.compile(graph);
      },
    };
    const backward = createBackward(small.model, small.weights, engine);
    const [batch] = batchExamples([windowOf(0, model.vocabulary), windowOf(1, model.vocabulary)], model.positions);
    await backward.gradient([batch!], { task: LM, choices: new Int32Array(0) }, wanted);
    const { sequences, tokens, scored } = batch!;
    const { programs } = backwardDemand(small.model, [plan({ sequences, tokens, scored })], 1, wanted);
    const sorted = (sizes: readonly number[]) => sizes.toSorted((a, b) => a - b);
    const beside = 1e6; // what a program takes besides its working set
    expect(sorted([...programs.values()])).toEqual(sorted(compiled.map((graph) => beside + workingSet(graph))));
  });

  test('texts keep keys and values of all their tokens, under both signs where weights are perturbed', () => {
    const texts = { count: 4, prompt: 5, max_new_tokens: 20, sequences: 2 };
    const { groups, headDim } = model.blocks[0]!.cache!;
    const caches = 4 * 4 * model.blocks.length * 2 * groups * headDim * 32;
    const logits = 4 * 4 * model.vocabulary;
    const { activations, scratch } = writingDemand(model, { kind: 'none' }, texts);
    expect(activations).toBeGreaterThan(caches + logits);
    expect(activations).toBeLessThan(caches + logits + 4 * 3 * 4 * 32 * model.hidden);
    const both = writingDemand(model, { kind: 'dense' }, texts);
    expect(both.activations).toBe(2 * activations);
    expect(both.scratch).toBeGreaterThan(scratch);
    const one = writingDemand(model, { kind: 'none' }, { ...texts, count: 2 });
    expect(one.activations).toBeLessThan(activations);
  });
});
