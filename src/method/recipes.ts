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
    name: 'es',
    summary: 'ES fine-tuning: dense directions, both sides, steps over the spread; for rewards and other objectives.',
    page: 'es.md',
    algebra: 'sum',
    keys: {
      ...{ direction: 'binomial', direction_per: 'batch', lr_scheduler_type: 'constant', optimizer: 'normalised' },
      ...{ eps: 1e-3, learning_rate: 5e-4, gradient_accumulation_steps: 30 },
    },
  },
  {
    name: 'eggroll',
    summary: 'EGGROLL: low-rank directions in pairs, many in one product; for rewards and other objectives.',
    page: 'eggroll.md',
    algebra: 'sum',
    keys: { direction: 'lowrank', direction_per: 'sample', lr_scheduler_type: 'constant', optimizer: 'normalised' },
  },
];
