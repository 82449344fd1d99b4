/**
 * Kinds of directions beside MeZO's, with equal forward work (16 samples a round, two passes each): stories260k on tiny
 * Shakespeare. Tables: docs/papers/lozo.md, sparse-mezo.md, fedkseed.md, decomfl.md, mezo-bcd.md.
 *
 * @module
 */
import { SHAKESPEARE, STORIES } from './stories.mjs';
import { study } from './study.mjs';

const FOUR = { direction: 'rademacher', gradient_accumulation_steps: 4, per_device_train_batch_size: 4 };
const DENSE = { direction: 'rademacher' };

await study({
  name: 'kinds',
  needs: [`${STORIES}/model.safetensors`, SHAKESPEARE],
  common: {
    ...{ model: STORIES, data: SHAKESPEARE, max_steps: 200, eval_steps: 200, max_eval_samples: 256 },
    ...{ direction_per: 'batch', per_device_train_batch_size: 16, threads: 1 },
  },
  arms: [
    { arm: 'dense', flags: DENSE, rates: [2e-4, 4e-4] },
    { arm: 'rank 2', flags: { rank: 2 }, rates: [2e-4, 4e-4] },
    { arm: 'rank 2, columns for 50 rounds', flags: { rank: 2, lazy_rounds: 50 }, rates: [2e-4] },
    { arm: 'smallest fifth', flags: { ...DENSE, sparse: 'magnitude' }, rates: [4e-4, 1.6e-3] },
    { arm: 'one block in turn', flags: { ...DENSE, blocks_per_round: 1 }, rates: [4e-4, 1.6e-3] },
    { arm: 'pool of 64', flags: { ...DENSE, direction_pool: 64 }, rates: [2e-4] },
    { arm: '4 of 4 samples', flags: FOUR, rates: [4e-4] },
    { arm: '4 of 4 samples, 2 shared', flags: { ...FOUR, shared_directions: 2 }, rates: [4e-4] },
    { arm: 'random fifth', flags: { ...DENSE, sparse: 'random' }, rates: [4e-4, 1.6e-3] },
  ],
  seeds: [0],
});
