/**
 * A direction that moves only some tensors: what comes before the first of them is computed once for both sides, and the
 * losses are to the bit those of a direction that is zero elsewhere.
 */
import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import type { Model } from '../../src/model/stage.ts';
import { viewOf, windowsOf } from '../../src/model/view.ts';
import type { Weights } from '../../src/model/weights.ts';
import type { Kernels } from '../../src/numeric/kernels.ts';
import { everything, type Kept } from '../../src/numeric/mask.ts';
import { U_STREAM } from '../../src/numeric/noise.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { createForward, headOf } from '../../src/objective/forward.ts';
import type { Perturbation } from '../../src/objective/perturbation.ts';
import type { Engine } from '../../src/ports.ts';
import { FIXTURES, fixture, key, LM, windowOf } from './models.ts';

const examples = [windowOf(1, 64), windowOf(2, 64)];
const keys = [key(0), key(1)];

const PERTURBATIONS: readonly (readonly [string, (kept: Kept) => Perturbation])[] = [
  ['sided', (kept) => ({ kind: 'sided', rank: 1, delta: 0.02, keys: [keys], kept })],
  ['dense', (kept) => ({ kind: 'dense', noise: 'rademacher', rank: 1, delta: 0.02, keys: [keys[0]!], kept })],
];

/** Noise on the kept tensors alone, made zero in the kernels: nothing is known to stand still. */
const zeroed = (kept: Kept, kernels: Kernels): Kernels => ({
  ...kernels,
  materialisePair: (q, e, tensor, kind, rank, own, delta, first, plus, minus) =>
    kernels.materialisePair(q, e, tensor, kind, rank, own, kept(tensor.id) ? delta : 0, first, plus, minus),
  factors: (stream, rank, id, own, plus, minus, first, out) => {
    const none = stream === U_STREAM && !kept(id);
    kernels.factors(stream, rank, id, own, none ? 0 : plus, none ? 0 : minus, first, out);
  },
  factorAt: (stream, k, id, own, value, index, out) =>
    kernels.factorAt(stream, k, id, own, kept(id) ? value : 0, index, out),
});

/** Sequences that blocks were run on. */
function counting(): { engine: Engine; rows: () => number } {
  const ort = nodeEngine({ threads: 1 });
  let rows = 0;
  const engine: Engine = {
    name: 'counting',
    async compile(graph) {
      const program = await ort.compile(graph);
      const run: typeof program.run = (feeds, outputs) => {
        if (graph.name.endsWith('block')) rows += outputs['y']!.length;
        return program.run(feeds, outputs);
      };
      return { ...program, run };
    },
  };
  return { engine, rows: () => rows };
}

/** What a round may move, and the blocks before it. */
const PARTS: readonly (readonly [string, (model: Model) => readonly [ids: readonly number[], before: number]])[] = [
  ['the last block alone', (model) => [viewOf(model, { last_blocks: 1 }), model.blocks.length - 1]],
  ['a window of one block', (model) => [windowsOf(model, viewOf(model, 'full'), 1)[1]!, 1]],
];

describe.each(FIXTURES)('%s', (name) => {
  const both = PARTS.flatMap(([part, of]) => PERTURBATIONS.map(([kind, make]) => [kind, part, of, make] as const));
  test.each(both)('%s: %s', async (kind, _, partOf, perturbation) => {
    const { model, weights } = await fixture(name, referenceKernels());
    const [ids, before] = partOf(model);
    const view = new Set(ids);
    const kept: Kept = (id) => view.has(id);
    const batches = batchExamples(kind === 'sided' ? examples.flatMap((example) => [example, example]) : examples);
    const still: Weights = {
      ...weights,
      visit: (own, work) => weights.visit(own, (page) => work({ ...page, kernels: zeroed(kept, page.kernels) })),
    };
    const [one, whole] = [counting(), counting()];
    const run = (own: Weights, { engine }: { engine: Engine }, k: Kept) =>
      createForward(model, own, engine).run(batches, headOf(LM), perturbation(k));
    const got = await run(weights, one, kept);
    expect(got).toEqual(await run(still, whole, everything));
    const blocks = model.blocks.length;
    expect(one.rows() / whole.rows()).toBeCloseTo((before + 2 * (blocks - before)) / (2 * blocks), 10);
    const lanes = got.flat().flatMap((nll) => [...nll]);
    expect(new Set(lanes).size, 'the direction shows').toBeGreaterThan(lanes.length / 2);
  });
});

test('the view is what follows the blocks that stand still; a head tied to the embedding stands still with it', async () => {
  for (const name of ['opt-tied', 'llama-untied-grouped-linear']) {
    const { model } = await fixture(name, referenceKernels());
    const names = viewOf(model, { last_blocks: 1 }).map((id) => model.tensors[id]!.name);
    const last = `layers.${model.blocks.length - 1}.`;
    const others = names.filter((own) => !own.includes(last));
    expect(others).toEqual(
      name === 'opt-tied'
        ? ['model.decoder.final_layer_norm.bias', 'model.decoder.final_layer_norm.weight']
        : ['lm_head.weight', 'model.norm.weight'],
    );
    expect(viewOf(model, { last_blocks: model.blocks.length })).not.toContain(
      model.tensors.find((tensor) => tensor.name.includes('embed_tokens'))!.id,
    );
    expect(viewOf(model, 'full')).toHaveLength(model.tensors.length);
    expect(() => viewOf(model, { last_blocks: 9 })).toThrow(/^CONFIG_INVALID: last_blocks: 9 is more than/);
  }
});

test('windows of blocks are a partition of the view; what comes before the blocks is in the first, what follows in the last', async () => {
  for (const name of FIXTURES) {
    const { model } = await fixture(name, referenceKernels());
    const blocks = model.blocks.length;
    for (const view of [viewOf(model, 'full'), viewOf(model, { last_blocks: 1 })])
      for (let count = 1; count <= blocks; count++) {
        if (count > 1 && view.length < model.tensors.length) {
          expect(() => windowsOf(model, view, count)).toThrow(
            /^CONFIG_INVALID: blocks_per_round: 2 is more than the 1/,
          );
          break;
        }
        const windows = windowsOf(model, view, count);
        expect(windows).toHaveLength(view.length < model.tensors.length ? 1 : Math.ceil(blocks / count));
        expect(windows.flat().sort((a, b) => a - b)).toEqual(view);
      }
    const [first, last] = windowsOf(model, viewOf(model, 'full'), 1).map((ids) =>
      ids.map((id) => model.tensors[id]!.name).join(),
    );
    const final = /model\.norm|decoder\.final_layer_norm|ln_f|lm_head\.(dense|layer_norm)|cls\.predictions\.transform/;
    expect(first).toMatch(/embed_tokens|wte|word_embeddings/);
    expect(first).toMatch(/(layers?|h)\.0\./);
    expect(first).not.toMatch(/(layers?|h)\.1\./);
    expect(first).not.toMatch(final);
    expect(last).toMatch(/(layers?|h)\.1\./);
    expect(last).toMatch(final);
  }
});
