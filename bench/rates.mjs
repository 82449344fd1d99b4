/**
 * What the default learning rate is taken from: stories260k on tiny Shakespeare, by directions a round and by rate.
 * Tables: docs/papers/onebyte.md.
 *
 * @module
 */
import { study } from './study.mjs';

const MODEL = '../shared/models/stories260k';
const TEXT = '../shared/data/tiny-shakespeare/input.txt';

const perSample = (n, rates) => ({
  arm: `rank 1 per sample, N = ${n}`,
  flags: { per_device_train_batch_size: n },
  rates,
});
const perBatch = (n, rates) => ({
  arm: `dense per batch of 16, N = ${n}`,
  flags: { direction: 'rademacher', gradient_accumulation_steps: n },
  rates,
});

await study({
  name: 'rates',
  needs: [`${MODEL}/model.safetensors`, TEXT],
  common: { model: MODEL, data: TEXT, max_steps: 400, eval_steps: 400, max_eval_samples: 512 },
  arms: [
    perSample(1, [3.2e-5, 6.25e-5, 1.25e-4]),
    perSample(4, [1.25e-4, 2.5e-4, 5e-4]),
    perSample(16, [2.5e-4, 5e-4, 1e-3]),
    perSample(64, [5e-4, 1e-3, 2e-3]),
    perBatch(1, [1e-4, 2e-4, 4e-4]),
    perBatch(4, [2e-4, 4e-4, 8e-4]),
  ],
  seeds: [],
});
