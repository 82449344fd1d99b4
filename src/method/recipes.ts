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
    name: 'backprop',
    summary: 'AdamW or SGD along the gradient, alone on this machine: what bytes are measured against.',
    page: 'backprop.md',
    algebra: 'local',
    keys: {},
  },
  {
    name: 'hybrid',
    summary: 'The last blocks by backpropagation, what comes before by forward passes, alone on this machine.',
    page: 'backprop.md',
    algebra: 'local',
    keys: {},
  },
  {
    name: 'zo-sgd',
    summary: 'ZO-SGD of ZO-Bench: MeZO by its other name.',
    page: 'zo-bench.md',
    algebra: 'sum',
    keys: { direction: 'binomial', direction_per: 'batch', lr_scheduler_type: 'constant' },
  },
  {
    name: 'zo-sgd-sign',
    summary: 'ZO-SGD-Sign: of each slope the sign alone counts.',
    page: 'zo-bench.md',
    algebra: 'sum',
    keys: { direction: 'binomial', direction_per: 'batch', lr_scheduler_type: 'constant', optimizer: 'sign' },
  },
  {
    name: 'zo-sgd-mmt',
    summary: 'ZO-SGD-MMT: momentum, recomputed from the slopes in the journal.',
    page: 'zo-bench.md',
    algebra: 'sum',
    keys: { direction: 'binomial', direction_per: 'batch', lr_scheduler_type: 'constant', optimizer: 'momentum' },
  },
  {
    name: 'zo-sgd-cons',
    summary: 'ZO-SGD-Cons: a step is tried, turned or dropped on its own samples before its byte is sent.',
    page: 'zo-bench.md',
    algebra: 'sum',
    keys: { direction: 'binomial', direction_per: 'batch', lr_scheduler_type: 'constant', estimator: 'conservative' },
  },
  {
    name: 'zo-adam',
    summary: 'ZO-Adam: moments of every weight; each replica keeps 16 bytes a weight more.',
    page: 'zo-bench.md',
    algebra: 'fold',
    keys: { direction: 'binomial', direction_per: 'batch', lr_scheduler_type: 'constant', optimizer: 'adam' },
  },
  {
    name: 'fzoo',
    summary: 'FZOO: slopes over their spread in the round, so that the size of a step is the rate.',
    page: 'fzoo.md',
    algebra: 'sum',
    keys: { direction: 'rademacher', direction_per: 'batch', gradient_accumulation_steps: 8, optimizer: 'normalised' },
  },
  {
    name: 'meazo',
    summary: 'MEAZO: slopes over the root of their running mean square, one number for all weights.',
    page: 'meazo.md',
    algebra: 'sum',
    keys: { direction: 'rademacher', direction_per: 'batch', optimizer: 'scalar_adam' },
  },
];

/** @throws {RangeError} for a name that no recipe has */
export function recipeOf(name: string): Recipe {
  const found = RECIPES.find((recipe) => recipe.name === name);
  if (!found) throw new RangeError(`"name" expected a method, got "${name}"`);
  return found;
}
