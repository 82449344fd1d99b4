/** Rates where none is given: measured ones for small models, falling with the weights that are trained. */
import { describe, expect, test } from 'vitest';
import { loadConfig, type RunConfig } from '../../src/cli/config.ts';
import { aloneLearningRate, defaultLearningRate, ratesOf, trainedBy } from '../../src/cli/rate.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { withAdapter } from '../model/adapters.ts';
import { fixture } from '../objective/models.ts';

const load = (flags: Readonly<Record<string, unknown>> = {}): RunConfig =>
  loadConfig(undefined, { model: 'm', data: 'd.txt', ...flags }, {}).config;
const rate = (flags: Readonly<Record<string, unknown>> = {}, zeroth = 1e6, part = 1): number =>
  defaultLearningRate(load(flags), { zeroth, part });
const MEZO = { method: 'mezo' };

describe('along slopes', () => {
  test('grows with the directions of a round, to a limit', () => {
    const sizes = [1, 4, 16, 64, 256, 4096];
    expect(sizes.map((n) => rate({ per_device_train_batch_size: n }))).toEqual(
      [6.25e-5, 2.5e-4, 5e-4, 1e-3, 2e-3, 2e-3].map((r) => expect.closeTo(r, 9)),
    );
    expect([1, 4].map((peers) => rate({ peers, direction: 'rademacher' }))).toEqual([2e-4, 4e-4]);
  });

  test('divides out what the reduction leaves in', () => {
    const by = (reduction: string) => rate({ reduction, peers: 4 });
    expect(by('sqrt') * 8).toBeCloseTo(by('mean'), 12);
    expect(by('sum') * 64).toBeCloseTo(by('mean'), 12);
  });

  test('is that of small models up to a million weights, and near what MeZO publishes for large ones', () => {
    expect([1, 2.6e5, 1e6].map((weights) => rate(MEZO, weights))).toEqual([2e-4, 2e-4, 2e-4]);
    expect(rate(MEZO, 3.5e8)).toBe(3.3e-6);
    expect(rate(MEZO, 1.3e10)).toBe(2.6e-7);
    expect(rate({ ...MEZO, peers: 4 }, 3.5e8)).toBe(6.6e-6);
  });

  test('is up to four times as large where a round moves a part', () => {
    expect(rate(MEZO, 1e6, 1 / 2)).toBeCloseTo(2 * rate(MEZO), 12);
    expect(rate(MEZO, 1e6, 1 / 5)).toBeCloseTo(4 * rate(MEZO), 12);
  });
});

test('along a gradient falls more slowly', () => {
  const along = (optim: 'adamw' | 'sgd', first: number) => aloneLearningRate({ optim, adapter: 'none' }, { first });
  expect([along('adamw', 1e6), along('sgd', 8e5)]).toEqual([3e-4, 1e-2]);
  expect([along('adamw', 1e8), along('sgd', 1e8)]).toEqual([4.8e-5, 1.6e-3]);
});

describe('what is trained', async () => {
  const { model } = await fixture('opt-tied', referenceKernels());
  const all = model.tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

  test('is counted by view, method and part of a round', async () => {
    expect(trainedBy(model, load())).toEqual({ zeroth: all, first: 0, part: 1 });
    expect(trainedBy(model, load({ method: 'sparse-mezo' }))).toMatchObject({ zeroth: all, part: 1 / 5 });
    expect(trainedBy(model, load({ method: 'mezo-bcd' })).part).toBe(1 / model.blocks.length);
    const last = trainedBy(model, load({ last_blocks: 1 }));
    expect(last.zeroth).toBeLessThan(all / 2);
    expect(trainedBy(model, load({ method: 'backprop' }))).toEqual({ zeroth: 0, first: all, part: 1 });
    expect(trainedBy(model, load({ method: 'hybrid' }))).toEqual({
      ...{ zeroth: all - last.zeroth, first: last.zeroth, part: 1 },
    });
    const { model: adapted } = await withAdapter('opt-tied', { lora: { rank: 2, alpha: 1, targets: ['q_proj'] } });
    const lora = load({ adapter: 'lora', lora_r: 2, target_modules: 'q_proj' });
    expect(trainedBy(adapted, lora).zeroth).toBe(model.blocks.length * 4 * model.hidden);
  });

  test('is asked for only where a rate is open', async () => {
    const never = async () => Promise.reject(new TypeError('asked'));
    expect(await ratesOf(load({ learning_rate: 0.5 }), never)).toEqual({ learning_rate: 0.5, zo_learning_rate: 0.5 });
    const both = load({ method: 'hybrid', learning_rate: 0.5, zo_learning_rate: 0.25 });
    expect(await ratesOf(both, never)).toEqual({ learning_rate: 0.5, zo_learning_rate: 0.25 });
    await expect(ratesOf(load({ method: 'hybrid', learning_rate: 0.5 }), never)).rejects.toThrow('asked');
    const trained = async () => ({ zeroth: 1e8, first: 1e8, part: 1 });
    expect(await ratesOf(load({ method: 'hybrid', learning_rate: 0.5 }), trained)).toEqual({
      learning_rate: 0.5,
      zo_learning_rate: rate({}, 1e8),
    });
    expect(await ratesOf(load({ method: 'backprop' }), trained)).toMatchObject({ learning_rate: 4.8e-5 });
    expect(await ratesOf(load(), trained)).toMatchObject({ learning_rate: rate({}, 1e8) });
  });
});
