/** Training along a gradient: which weights a step moves and by how much, how batches add up, and what the hybrid does. */
import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { spsa } from '../../src/estimator/spsa.ts';
import { Fault } from '../../src/faults.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import {
  backpropStep,
  batchesOfStep,
  gradientOf,
  noMoments,
  type Settings,
  type StepReport,
  type Trainee,
  trainee,
} from '../../src/method/backprop.ts';
import { hybridStep, split } from '../../src/method/hybrid.ts';
import type { Learner } from '../../src/method/onebyte.ts';
import { readConfig } from '../../src/model/config.ts';
import { initialWeights } from '../../src/model/initial.ts';
import { freshTensors, modelOf } from '../../src/model/model.ts';
import type { Model } from '../../src/model/stage.ts';
import { viewOf } from '../../src/model/view.ts';
import type { Manifest } from '../../src/nouns.ts';
import { powerOfTwo } from '../../src/numeric/fixed.ts';
import type { Kernels } from '../../src/numeric/kernels.ts';
import type { Kept } from '../../src/numeric/mask.ts';
import { direction } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { createBackward } from '../../src/objective/backward.ts';
import type { Engine } from '../../src/ports.ts';
import { readFolder } from '../model/folder.ts';
import { integersOf, weightsIn } from '../model/shelf.ts';
import { LM, smallKernels, windowOf } from '../objective/models.ts';
import { smallLearner } from '../peer/learner.ts';
import { expectClose } from '../suites/arrays.ts';

const ADAMW: Settings = {
  optim: { kind: 'adamw', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  weight_decay: 0,
  max_grad_norm: 0,
  per_device_train_batch_size: 4,
  gradient_accumulation_steps: 1,
};
const SGD: Settings = { ...ADAMW, optim: { kind: 'sgd', momentum: 0 } };

interface Bench {
  readonly model: Model;
  readonly learner: Learner;
  readonly of: Trainee;
}

async function bench(
  settings: Settings,
  {
    kept,
    manifest = {},
    kernels,
  }: { kept?: (model: Model) => Kept; manifest?: Partial<Manifest>; kernels?: Kernels } = {},
): Promise<Bench> {
  const name = 'opt-tied';
  const { model } = await readFolder(`test/fixtures/models/${name}`);
  const small = await smallLearner({ engine: interpreter, kernels: kernels ?? (await smallKernels()), name });
  const learner = { ...small, manifest: { ...small.manifest, ...manifest } };
  const backward = createBackward(model, learner.weights, interpreter);
  return { model, learner, of: trainee(learner, backward, settings, kept?.(model) ?? (() => true)) };
}

const stepOf = async (settings: Settings, options?: Parameters<typeof bench>[1]) => {
  const { of, learner, model } = await bench(settings, options);
  const before = await integersOf(learner.weights);
  const report = await backpropStep(of, 0);
  return { of, model, learner, report, before, after: await integersOf(learner.weights) };
};

describe('a step', () => {
  test('of plain SGD is the gradient times the rate, rounded once', async () => {
    const { of } = await bench(SGD);
    const gradient = await gradientOf(of, batchesOfStep(of, 0));
    const { learner, before, after, report } = await stepOf(SGD);
    for (const { id, name, exponent } of learner.weights.tensors) {
      const g = gradient.tensors.get(name)!;
      const moved = before[id]!.map((q, i) => after[id]![i]! - q);
      const expected = Array.from(g, (x) => -1e-3 * x * powerOfTwo(-exponent));
      expectClose(moved, expected, 0.5 + 2 ** -22 * Math.max(...expected.map(Math.abs)), name);
    }
    expect(report).toMatchObject({ loss: gradient.loss, learning_rate: 1e-3 });
    expect(report.grad_norm).toBeGreaterThan(0);
  });

  test('lowers the loss of its own batch', async () => {
    const { of, report } = await stepOf(ADAMW);
    const { loss } = await gradientOf(of, batchesOfStep(of, 0));
    expect(loss).toBeLessThan(report.loss);
  });

  test('moves what is kept, and nothing else by a bit', async () => {
    const last = (model: Model): Kept => {
      const ids = new Set(viewOf(model, { last_blocks: 1 }));
      return (id) => ids.has(id);
    };
    const { model, before, after } = await stepOf({ ...ADAMW, weight_decay: 0.1 }, { kept: last });
    const kept = last(model);
    for (const { id, name } of model.tensors)
      expect(
        after[id]!.some((q, i) => q !== before[id]![i]),
        name,
      ).toBe(kept(id));
  });

  test('clips all tensors together: a limit a hundredth of the norm is a hundredth of the step', async () => {
    const free = await stepOf(SGD);
    const clipped = await stepOf({ ...SGD, max_grad_norm: free.report.grad_norm / 100 });
    expect(clipped.report.grad_norm).toBe(free.report.grad_norm);
    for (const { id, name } of free.model.tensors) {
      const moved = ({ before, after }: typeof free) => before[id]!.map((q, i) => after[id]![i]! - q);
      const hundredth = Array.from(moved(free), (x) => x / 100);
      expectClose(moved(clipped), hundredth, 1 + 1e-4 * Math.max(...hundredth.map(Math.abs)), name);
    }
  });

  test('decays matrices and spares vectors', async () => {
    const plain = await stepOf(SGD);
    const decayed = await stepOf({ ...SGD, weight_decay: 0.5 });
    for (const { id, name, shape } of plain.model.tensors) {
      const drawn = Array.from(decayed.after[id]!, (q, i) => q - plain.after[id]![i]!);
      const expected = Array.from(plain.before[id]!, (q) => (shape.length > 1 ? -1e-3 * 0.5 * q : 0));
      expectClose(drawn, expected, shape.length > 1 ? 1.01 : 0, name);
    }
  });

  test('of two batches is that of one as large', async () => {
    const whole = await bench({ ...SGD, per_device_train_batch_size: 8 });
    const cut = await bench({ ...SGD, gradient_accumulation_steps: 2 });
    expect(batchesOfStep(cut.of, 3).flat()).toEqual(batchesOfStep(whole.of, 3).flat());
    const [a, b] = await Promise.all([whole, cut].map(({ of }) => gradientOf(of, batchesOfStep(of, 3))));
    expect(Math.abs(a!.loss - b!.loss)).toBeLessThan(1e-6);
    for (const [name, g] of a!.tensors) expectClose(b!.tensors.get(name)!, g, 1e-5, name);
  });

  test('is the same bits whether a kernel takes it or its definition, in arrays of the gradient before', async () => {
    const settings = { ...ADAMW, weight_decay: 0.1, max_grad_norm: 0.5, gradient_accumulation_steps: 3 };
    const ends = await Promise.all(
      [await smallKernels(), referenceKernels()].map(async (kernels) => {
        const { of, learner } = await bench(settings, { kernels });
        const reports: StepReport[] = [];
        for (let t = 0; t < 3; t++) reports.push(await backpropStep(of, t));
        return { reports, weights: await integersOf(learner.weights), moments: of.moments };
      }),
    );
    expect(ends[0]).toEqual(ends[1]);
  });

  test('that makes no number ends the run by name', async () => {
    const { of, learner } = await bench(SGD);
    const before = await integersOf(learner.weights);
    const says = (loss: number, slope: number): Trainee => ({
      ...of,
      backward: {
        ...of.backward,
        gradient: async () => ({
          losses: [Float64Array.of(loss)],
          tensors: new Map([['model.decoder.final_layer_norm.bias', Float32Array.of(slope)]]),
        }),
      },
    });
    for (const broken of [says(Number.NaN, 0), says(1, Number.NaN), says(1, Number.POSITIVE_INFINITY)]) {
      const refusal = await backpropStep(broken, 0).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(Fault);
      expect(refusal).toMatchObject({ code: 'DIVERGED' });
    }
    expect(await integersOf(learner.weights)).toEqual(before);
  });
});

describe('the hybrid', () => {
  const hybrid = (rate: number): Settings => ({ ...ADAMW, zeroth: { backprop_blocks: 1, learning_rate: rate } });
  const run = async (settings: Settings, manifest: Partial<Manifest> = {}) => {
    const made = await bench(settings, {
      kept: (model) => split(model, viewOf(model, 'full'), 1).first,
      manifest: { samples_per_record: 1, ...manifest },
    });
    const { zeroth, first } = split(made.model, viewOf(made.model, 'full'), 1);
    const before = await integersOf(made.learner.weights);
    return { ...made, first, zeroth, before };
  };

  test('without a rate for its first part is backpropagation of the last blocks, to the bit', async () => {
    const { of, zeroth, learner } = await run(hybrid(0));
    await hybridStep(of, zeroth, 0);
    const alone = await run(ADAMW);
    await backpropStep(alone.of, 0);
    expect(await integersOf(learner.weights)).toEqual(await integersOf(alone.learner.weights));
  });

  test('without a rate for its last part moves the first along the slopes it measured', async () => {
    const { of, zeroth, learner, before, model } = await run(hybrid(0.01), { learning_rate: 0 });
    const { manifest } = learner;
    const probes = batchesOfStep(of, 2)
      .flat()
      .map((example, sample) => ({
        key: { round: 2, run: manifest.seed, sample, slot: 0xffff_fffe },
        examples: [example],
      }));
    const slopes = await spsa(learner, manifest.direction, manifest.eps, probes, zeroth);
    await hybridStep(of, zeroth, 2);
    const after = await integersOf(learner.weights);
    let moved = 0;
    for (const { id, name, shape } of model.tensors) {
      const { exponent } = learner.weights.tensors[id]!;
      const expected = before[id]!.slice();
      if (zeroth(id))
        for (const [j, { key }] of probes.entries()) {
          const c = Math.floor(((0.01 / probes.length) * slopes[j]!) / powerOfTwo(exponent) + 0.5);
          const z = direction({ id, shape }, manifest.direction.kind, manifest.direction.rank, key);
          for (const [i, sign] of z.entries()) expected[i]! -= c * sign;
          moved++;
        }
      expect(after[id], name).toEqual(expected);
    }
    expect(moved).toBeGreaterThan(0);
  });

  test('moves every tensor once: by the one way or by the other', async () => {
    const { of, zeroth, first, learner, model, before } = await run(hybrid(0.01));
    await hybridStep(of, zeroth, 0);
    const after = await integersOf(learner.weights);
    for (const { id, name } of model.tensors) {
      expect(first(id) !== zeroth(id), name).toBe(true);
      expect(
        after[id]!.some((q, i) => q !== before[id]![i]),
        name,
      ).toBe(true);
    }
  });

  test('keeps activations of its last blocks only', async () => {
    const shape = { hidden_size: 8, intermediate_size: 12, num_hidden_layers: 6, num_attention_heads: 2 };
    const config = readConfig(
      JSON.stringify({ model_type: 'llama', vocab_size: 16, max_position_embeddings: 8, ...shape }),
    );
    const model = modelOf(config, freshTensors(config));
    const specs = new Map(model.tensors.map((spec) => [spec.name, spec]));
    const kernels = await smallKernels();
    const weights = await weightsIn(kernels, model, (name) => initialWeights(specs.get(name)!, 1));
    const batches = batchExamples([windowOf(1, 16), windowOf(2, 16)]);
    /** Arrays of activations that a gradient of the last `blocks` takes. */
    const taken = async (blocks: number): Promise<number> => {
      const seen = new Set<unknown>();
      const watched: Engine = {
        name: 'watched',
        async compile(graph) {
          const program = await interpreter.compile(graph);
          const run: typeof program.run = (feeds, outputs) => {
            for (const array of [feeds['x'], outputs['y']])
              if (array?.length === 2 * LM.window * model.hidden) seen.add(array);
            return program.run(feeds, outputs);
          };
          return { ...program, run };
        },
      };
      const backward = createBackward(model, weights, watched);
      const ids = new Set(viewOf(model, { last_blocks: blocks }));
      await backward.gradient(batches, { task: LM, choices: new Int32Array(0) }, (id) => ids.has(id));
      return seen.size;
    };
    const [one, two, five] = [await taken(1), await taken(2), await taken(5)];
    expect([two - one, five - two]).toEqual([1, 3]);
    expect(one).toBeLessThanOrEqual(4);
  });
});

test('AdamW keeps two arrays of what moves, SGD one', async () => {
  const { learner } = await bench(ADAMW);
  const sizes = (settings: Settings) =>
    [...noMoments(learner, settings, (id) => id < 2)].map(([id, arrays]) => [id, arrays.length]);
  expect(sizes(ADAMW)).toEqual([
    [0, 2],
    [1, 2],
  ]);
  expect(sizes(SGD)).toEqual([
    [0, 1],
    [1, 1],
  ]);
});
