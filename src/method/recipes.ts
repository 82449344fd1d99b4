/**
 * Every method by name.
 *
 * @module
 */
import type { Recipe } from './recipe.ts';

/** MeZO's: one dense, bell-shaped direction for each batch, and a rate that stays. */
const MEZO = { direction: 'binomial', direction_per: 'batch', lr_scheduler_type: 'constant' };

/** What is usual for AdamW where a language model begins from nothing (ACCO, DiLoCo). */
const FROM_NOTHING = { adam_beta2: 0.95, weight_decay: 0.1, lr_scheduler_type: 'cosine' };

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
    keys: MEZO,
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
    name: 'diloco',
    summary:
      'DiLoCo: peers train along gradients by themselves, and exchange how far they came every few hundred steps.',
    page: 'diloco.md',
    algebra: 'exchange',
    keys: FROM_NOTHING,
  },
  {
    name: 'monna',
    summary: 'MoNNA: peers that may lie hear each other, and each mixes the weights that are nearest to its own.',
    page: 'monna.md',
    algebra: 'exchange',
    keys: { optim: 'sgd', momentum: 0.99, aggregation: 'nna', lr_scheduler_type: 'constant' },
  },
  {
    name: 'ddp',
    summary: 'Synchronous data parallel: a gradient of every peer in every step, what DiLoCo is measured against.',
    page: 'diloco.md',
    algebra: 'exchange',
    keys: FROM_NOTHING,
  },
  {
    name: 'dpu',
    summary: 'Delayed parameter update: as ddp, but peers go on meanwhile, with weights that are one step old.',
    page: 'acco.md',
    algebra: 'exchange',
    keys: FROM_NOTHING,
  },
  {
    name: 'acco',
    summary: 'ACCO: as ddp, but peers go on meanwhile, with an estimate of the weights that are on their way.',
    page: 'acco.md',
    algebra: 'exchange',
    keys: FROM_NOTHING,
  },
  {
    name: 'zo-sgd',
    summary: 'ZO-SGD of ZO-Bench: MeZO by its other name.',
    page: 'zo-bench.md',
    algebra: 'sum',
    keys: MEZO,
  },
  {
    name: 'zo-sgd-sign',
    summary: 'ZO-SGD-Sign: of each slope the sign alone counts.',
    page: 'zo-bench.md',
    algebra: 'sum',
    keys: { ...MEZO, optimizer: 'sign' },
  },
  {
    name: 'zo-sgd-mmt',
    summary: 'ZO-SGD-MMT: momentum, recomputed from the slopes in the journal.',
    page: 'zo-bench.md',
    algebra: 'sum',
    keys: { ...MEZO, optimizer: 'momentum' },
  },
  {
    name: 'zo-sgd-cons',
    summary: 'ZO-SGD-Cons: a step is tried, turned or dropped on its own samples before its byte is sent.',
    page: 'zo-bench.md',
    algebra: 'sum',
    keys: { ...MEZO, estimator: 'conservative' },
  },
  {
    name: 'zo-adam',
    summary: 'ZO-Adam: moments of every weight; each replica keeps 16 bytes a weight more.',
    page: 'zo-bench.md',
    algebra: 'fold',
    keys: { ...MEZO, optimizer: 'adam' },
  },
  {
    name: 'forward-grad',
    summary: 'Forward-Grad: the derivative along a direction itself, in one pass of forward-mode differentiation.',
    page: 'forward-gradient.md',
    algebra: 'sum',
    keys: { ...MEZO, estimator: 'forward_gradient' },
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
    keys: { ...MEZO, sparse: 'magnitude', sparse_kept: '1/5' },
  },
  {
    name: 'fedkseed',
    summary: 'FedKSeed: 4096 directions for the whole run, so that any history is 4096 numbers.',
    page: 'fedkseed.md',
    algebra: 'sum',
    keys: { ...MEZO, direction_pool: 4096, eps: 5e-4 },
  },
  {
    name: 'decomfl',
    summary: 'DeComFL: five directions a round, which every peer measures on its own samples.',
    page: 'decomfl.md',
    algebra: 'sum',
    keys: { ...MEZO, shared_directions: 5, gradient_accumulation_steps: 5, eps: 1e-3 },
  },
  {
    name: 'mezo-bcd',
    summary: 'MeZO-BCD: each round moves one block, in turn.',
    page: 'mezo-bcd.md',
    algebra: 'sum',
    keys: { ...MEZO, blocks_per_round: 1 },
  },
  {
    name: 'es',
    summary: 'ES fine-tuning: dense directions, both sides, steps over the spread; for rewards and other objectives.',
    page: 'es.md',
    algebra: 'sum',
    keys: {
      ...MEZO,
      ...{ optimizer: 'normalised' },
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

/** @throws {RangeError} for a name that no recipe has */
export function recipeOf(name: string): Recipe {
  const found = RECIPES.find((recipe) => recipe.name === name);
  if (!found) throw new RangeError(`"name" expected a method, got "${name}"`);
  return found;
}
