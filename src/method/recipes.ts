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
];

/** @throws {RangeError} for a name that no recipe has */
export function recipeOf(name: string): Recipe {
  const found = RECIPES.find((recipe) => recipe.name === name);
  if (!found) throw new RangeError(`"name" expected a method, got "${name}"`);
  return found;
}
