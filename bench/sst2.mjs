/**
 * SST-2 with quill, prompt "… It was great/terrible": by reduction and by direction, with equal forward work in every
 * arm (64 samples a round, two forward passes each). Tables: docs/papers/onebyte.md.
 *
 * @module
 */
import { study } from './study.mjs';

const SST2 = '../shared/data/sst2';
const SAMPLES = 64;

/** One byte a sample, or one byte a batch of all samples of the round. */
const perSample = { per_device_train_batch_size: SAMPLES };
const perBatch = { per_device_train_batch_size: SAMPLES, direction_per: 'batch' };

const sameStep = (arm, reduction, times) => ({
  ...{ arm, times, like: 'rank 1 per sample, mean' },
  flags: { ...perSample, reduction },
});

await study({
  name: 'sst2',
  needs: ['assets/quill/model.safetensors', `${SST2}/train.tsv`, `${SST2}/dev.tsv`],
  common: {
    model: 'assets/quill',
    data: `${SST2}/train.tsv`,
    eval_data: `${SST2}/dev.tsv`,
    prompt: '{sentence|content} It was',
    labels: '0= terrible,1= great',
    max_steps: 200,
    eval_steps: 200,
  },
  arms: [
    { arm: 'rank 1 per sample, mean', flags: perSample, rates: [1e-4, 3e-4, 1e-3] },
    // The sum of N over √N, or not divided: the same step for rates √N and N times smaller.
    sameStep('rank 1 per sample, sqrt', 'sqrt', 1 / Math.sqrt(SAMPLES)),
    sameStep('rank 1 per sample, sum', 'sum', 1 / SAMPLES),
    { arm: 'dense Rademacher per batch', flags: { ...perBatch, direction: 'rademacher' }, rates: [1e-4, 3e-4, 1e-3] },
    {
      ...{ arm: 'dense binomial per batch', times: 1, like: 'dense Rademacher per batch' },
      flags: { ...perBatch, direction: 'binomial' },
    },
  ],
  seeds: [1, 2],
});
