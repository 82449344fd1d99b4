/**
 * One dense direction a batch (MeZO) against a direction a sample: stories260k on tiny Shakespeare, windows of 64
 * tokens, equal forward work in every arm (16 samples a round, two forward passes each). Tables: docs/papers/mezo.md.
 *
 * @module
 */
import { study } from './study.mjs';

const MODEL = '../shared/models/stories260k';
const TEXT = '../shared/data/tiny-shakespeare/input.txt';

await study({
  name: 'directions',
  needs: [`${MODEL}/model.safetensors`, TEXT],
  common: {
    model: MODEL,
    data: TEXT,
    max_steps: 200,
    eval_steps: 200,
    max_eval_samples: 512,
    per_device_train_batch_size: 16,
  },
  arms: [
    { arm: 'dense Rademacher per batch', flags: { direction: 'rademacher' }, rates: [1e-4, 2e-4, 4e-4] },
    { arm: 'dense binomial per batch', flags: { direction: 'binomial' }, rates: [1e-4, 2e-4, 4e-4] },
    { arm: 'rank 1 per batch', flags: { direction_per: 'batch' }, rates: [1e-4, 2e-4, 4e-4] },
    {
      arm: 'dense Rademacher per sample',
      flags: { direction: 'rademacher', direction_per: 'sample' },
      rates: [2.5e-4, 5e-4, 1e-3],
    },
    { arm: 'rank 1 per sample', flags: {}, rates: [2.5e-4, 5e-4, 1e-3] },
    { arm: 'rank 4 per sample', flags: { rank: 4 }, rates: [2.5e-4, 5e-4, 1e-3] },
  ],
  seeds: [1, 2],
});
