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
];
