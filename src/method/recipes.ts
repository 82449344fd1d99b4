/**
 * Every method by name.
 *
 * @module
 */
import type { Recipe } from './recipe.ts';

export const RECIPES: readonly Recipe[] = [
  {
    name: 'onebyte',
    summary: 'A low-rank direction and a byte for every sample: the default.',
    page: 'onebyte.md',
    algebra: 'sum',
    keys: {},
  },
  {
    name: 'mezo',
    summary: 'MeZO: one dense direction for each batch, constant rate.',
    page: 'mezo.md',
    algebra: 'sum',
    keys: { direction: 'binomial', direction_per: 'batch', lr_scheduler_type: 'constant' },
  },
  {
    name: 'lozo',
    summary: 'LOZO: low-rank directions of rank 2, whose column factors last for 50 rounds.',
    page: 'lozo.md',
    algebra: 'sum',
    keys: { direction: 'lowrank', rank: 2, lazy_rounds: 50, direction_per: 'batch', lr_scheduler_type: 'constant' },
  },
  {
    name: 'sparse-mezo',
    summary: 'Sparse-MeZO: dense directions that move the fifth of the weights that is smallest.',
    page: 'sparse-mezo.md',
    algebra: 'sum',
    keys: {
      ...{ direction: 'binomial', direction_per: 'batch', lr_scheduler_type: 'constant' },
      ...{ sparse: 'magnitude', sparse_kept: '1/5' },
    },
  },
  {
    name: 'fedkseed',
    summary: 'FedKSeed: 4096 directions for the whole run, so that any history is 4096 numbers.',
    page: 'fedkseed.md',
    algebra: 'sum',
    keys: {
      ...{ direction: 'binomial', direction_per: 'batch', lr_scheduler_type: 'constant' },
      ...{ direction_pool: 4096, eps: 5e-4 },
    },
  },
  {
    name: 'decomfl',
    summary: 'DeComFL: five directions a round, which every peer measures on its own samples.',
    page: 'decomfl.md',
    algebra: 'sum',
    keys: {
      ...{ direction: 'binomial', direction_per: 'batch', lr_scheduler_type: 'constant' },
      ...{ shared_directions: 5, gradient_accumulation_steps: 5, eps: 1e-3 },
    },
  },
  {
    name: 'mezo-bcd',
    summary: 'MeZO-BCD: each round moves one block, in turn.',
    page: 'mezo-bcd.md',
    algebra: 'sum',
    keys: { direction: 'binomial', direction_per: 'batch', lr_scheduler_type: 'constant', blocks_per_round: 1 },
  },
];
