/**
 * Keys of the methods that train along a gradient, on one machine: which of them go together, and what they default to.
 *
 * @module
 */
import type { Settings } from '../method/backprop.ts';
import { recipeOf } from '../method/recipes.ts';
import type { RunFile } from './keys.ts';

type Key = keyof RunFile;

/** Whether a method is for one machine only. */
export const isAlone = ({ method }: Pick<RunFile, 'method'>): boolean => recipeOf(method).algebra === 'local';

/** Whether it trains along gradients: alone, or with peers that exchange vectors. */
export const hasGradients = ({ method }: Pick<RunFile, 'method'>): boolean =>
  ['local', 'exchange'].includes(recipeOf(method).algebra);

/** Keys of a gradient and of the step along it. */
const FIRST_ORDER: readonly Key[] = ['optim', 'weight_decay', 'max_grad_norm'];
/** Of the hybrid alone. */
const HYBRID: readonly Key[] = ['backprop_blocks', 'zo_learning_rate'];
/** Of slopes, and what has no meaning for a gradient. */
const SHARED: readonly Key[] = [
  ...([
    'estimator',
    'optimizer',
    'lazy_rounds',
    'direction_pool',
    'shared_directions',
    'sparse',
    'sparse_kept',
  ] as const),
  ...([
    'blocks_per_round',
    'tensor_mask',
    'reduction',
    'forward_precision',
    'objective',
    'reward',
    'temperature',
  ] as const),
];
const NETWORK: readonly Key[] = ['host', 'port', 'code', 'name', 'workers'];
/** Of slopes: the hybrid measures some. */
const ZEROTH: readonly Key[] = ['direction', 'rank', 'direction_per', 'eps'];

const ADAM: readonly Key[] = ['adam_beta1', 'adam_beta2', 'adam_epsilon'];

/** @param refuse throws. @returns what refuses each of some keys that are given. */
export const forbidding =
  (given: (key: Key) => boolean, refuse: (key: Key, detail: string) => never) =>
  (keys: readonly Key[], detail: string): void => {
    for (const key of keys) if (given(key)) refuse(key, detail);
  };

/** @param refuse throws. What the values of two keys say against each other. */
export function agreeAlone(
  run: RunFile,
  given: (key: Key) => boolean,
  refuse: (key: Key, detail: string) => never,
): void {
  const forbid = forbidding(given, refuse);
  const { method, optim } = run;
  if (!hasGradients(run)) {
    forbid([...FIRST_ORDER, ...HYBRID], `is for methods with gradients, such as backprop, not ${method}; leave it out`);
    return;
  }
  if (isAlone(run))
    for (const key of ['peers', 'min_peers'] as const)
      if (run[key] !== undefined && run[key] !== 1)
        refuse(
          key,
          `method ${method} is for one machine: a gradient has a float for each weight, which no byte carries; take onebyte or diloco`,
        );
  forbid(isAlone(run) ? [...SHARED, ...NETWORK] : SHARED, `has no meaning for method ${method}; leave it out`);
  if (method !== 'hybrid') forbid([...ZEROTH, ...HYBRID], `has no meaning for method ${method}; leave it out`);
  else forbid(['last_blocks'], 'has no meaning beside backprop_blocks; leave it out');
  if (method === 'hybrid' && run.adapter !== 'none')
    refuse('adapter', 'cannot be cut into blocks; take method backprop');
  if (optim === 'sgd') forbid(isAlone(run) ? ADAM : [], 'is for optim adamw, not sgd; leave it out');
  else forbid(['momentum'], 'is for optim sgd, not adamw; leave it out');
}

/** What of a configuration decides the steps along a gradient. @param zerothRate of the hybrid, where none is given */
export function settingsOf(run: RunFile, zerothRate: number): Settings {
  const { weight_decay, max_grad_norm, per_device_train_batch_size, gradient_accumulation_steps } = run;
  const { adam_beta1: beta1, adam_beta2: beta2, adam_epsilon: epsilon } = run;
  return {
    optim: run.optim === 'adamw' ? { kind: 'adamw', beta1, beta2, epsilon } : { kind: 'sgd', momentum: run.momentum },
    ...{ weight_decay, max_grad_norm, per_device_train_batch_size, gradient_accumulation_steps },
    ...(run.method === 'hybrid'
      ? { zeroth: { backprop_blocks: run.backprop_blocks, learning_rate: run.zo_learning_rate ?? zerothRate } }
      : {}),
  };
}
