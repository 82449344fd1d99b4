/**
 * The learning rate where none is given: by method, by what a round is cut into, and by how many weights are trained,
 * which nobody knows before the files of the model are there.
 *
 * @module
 */
import { split } from '../method/hybrid.ts';
import type { Model } from '../model/stage.ts';
import { viewOf, windowsOf } from '../model/view.ts';
import { elementsOf } from '../model/weights.ts';
import type { Kept } from '../numeric/mask.ts';
import { hasGradients } from './alone.ts';
import { partOf, type RunConfig, recordsOf, viewFrom } from './config.ts';
import type { RunFile } from './keys.ts';

/** What a run trains of a model. */
export interface Trained {
  /** Weights that move along measured slopes. */
  readonly zeroth: number;
  /** Weights that move along their gradient. */
  readonly first: number;
  /** Part of the first kind that one round moves. */
  readonly part: number;
}

/** @throws {Fault} CONFIG_INVALID when the model has fewer blocks than are asked for */
export function trainedBy(model: Model, run: RunConfig): Trained {
  const { method, blocks_per_round: blocks, backprop_blocks } = run;
  const view = viewOf(model, viewFrom(run));
  const count = (kept: Kept): number => elementsOf(model.tensors.filter(({ id }) => kept(id)));
  const whole = new Set(view);
  const all = count((id) => whole.has(id));
  if (method === 'hybrid') {
    const { first, zeroth } = split(model, view, backprop_blocks);
    return { zeroth: count(zeroth), first: count(first), part: 1 };
  }
  if (hasGradients(run)) return { zeroth: 0, first: all, part: 1 };
  const { kept, of } = run.sparse === 'none' ? { kept: 1, of: 1 } : partOf(run.sparse_kept);
  const windows = blocks === undefined ? 1 : windowsOf(model, view, blocks).length;
  return { zeroth: all, first: 0, part: kept / of / windows };
}

export interface Rates {
  readonly learning_rate: number;
  /** Of steps along measured slopes, where others have the one above. */
  readonly zo_learning_rate: number;
}

/** A configuration with its rate. */
export type Rated = RunConfig & Pick<Rates, 'learning_rate'>;

/** @param trained asked for only where a rate is not given: there may be no model yet. */
export async function ratesOf(run: RunConfig, trained: () => Promise<Trained>): Promise<Rates> {
  const { learning_rate: given, zo_learning_rate: zeroth } = run;
  if (given !== undefined && (run.method !== 'hybrid' || zeroth !== undefined))
    return { learning_rate: given, zo_learning_rate: zeroth ?? given };
  const of = await trained();
  const own = zeroth ?? defaultLearningRate(run, of);
  return { learning_rate: given ?? (hasGradients(run) ? aloneLearningRate(run, of) : own), zo_learning_rate: own };
}

/** Weights up to which the rates below were measured. */
const MEASURED = 1e6;

/** A rate of so many weights at most, for more. */
const forMore = (rate: number, weights: number, power: number): number =>
  weights <= MEASURED ? rate : Number((rate * (MEASURED / weights) ** power).toPrecision(2));

/** Rates that move models of about a million weights in a hundred steps. */
const ALONE: Readonly<Record<RunFile['optim'], number>> = { adamw: 3e-4, sgd: 1e-2 };
/**
 * Joins 3e-4 at a million weights, measured, with what is usual: 5e-5 at 100 million (BERT, arXiv:1810.04805, appendix
 * A.3), 1e-5 at 7 billion. That of SGD is supposed to fall alike.
 */
const ALONE_POWER = 0.4;

export const aloneLearningRate = (
  { optim, adapter }: Pick<RunFile, 'optim' | 'adapter'>,
  { first }: Pick<Trained, 'first'>,
): number => forMore(ALONE[optim] * ADAPTERS[adapter][1], first, ALONE_POWER);

/**
 * Joins 2e-4 measured at 0.26 million weights with MeZO's published rates (arXiv:2305.17333, appendix E.3): 1e-6 at 350
 * million, 1e-7 to 1e-6 at 13 billion. In between nothing was measured.
 */
const POWER = 0.7;

/**
 * What moves less of the weights at once makes less noise and may go further: a fifth of the elements, or one block of
 * five, wanted about four times the rate (docs/papers/sparse-mezo.md, mezo-bcd.md).
 */
const MOST_FOR_A_PART = 4;

/**
 * What the rate of an adapter is of that of all weights: MeZO's are 50 to 100 times as large for LoRA and ten thousand for
 * prefixes (appendix E.3), and so it was here. Measured, `rate loss` after 40 rounds of 32 reviews of the demo, from 0.70:
 *
 *     all weights 7e-4 0.443    lora 3e-2 0.665, 8e-2 diverges    prefix 3 0.659    prompt 1 0.684
 *
 * Steps that do not know how steep the loss is go by the size of what they move: what is usual for Adam. Twice (five times)
 * the factors of a prefix drove it out of its range within 200 rounds of SST-2 (docs/papers/zo-bench.md).
 */
const ADAPTERS: Readonly<Record<RunFile['adapter'], readonly [steep: number, plain: number]>> = {
  none: [1, 1],
  lora: [40, 5],
  prefix: [2000, 10],
  prompt: [1500, 20],
};

/** Directions a round up to which the rule for the rate was tried. */
const MOST_DIRECTIONS = 256;

/**
 * A rate that moves and does not blow up, for a decaying schedule. Averaging n directions divides the noise of a step by
 * √n, which the rate may make up for. With one or two single samples a round it may not. The reductions differ by how the
 * sum of n is divided.
 *
 * Measured, `rate loss` after 400 rounds of stories260k on tiny Shakespeare, from 5.05 (docs/papers/onebyte.md):
 *
 *     a sample a direction    n = 1    6e-5   4.35   1.25e-4 4.44
 *                             n = 4    1e-4   4.14   2.5e-4  4.03   5e-4   4.39
 *                             n = 16   2.5e-4 3.88   5e-4    3.82   1e-3   4.04
 *                             n = 64   1e-3   3.65
 *     16 samples a direction  n = 1    1e-4   4.24   2e-4    4.12   4e-4   4.21
 *                             n = 4    2e-4   3.91   4e-4    3.79   8e-4   3.78
 */
export function defaultLearningRate(run: RunConfig, { zeroth, part }: Pick<Trained, 'zeroth' | 'part'>): number {
  const { records_per_round, samples_per_record } = recordsOf(run);
  const n = Math.min(records_per_round, MOST_DIRECTIONS);
  const mean = samples_per_record === 1 ? 1.25e-4 * Math.min(n / 2, Math.sqrt(n)) : 2e-4 * Math.sqrt(n);
  // Adam divides by the size of what is reduced.
  const divided =
    run.optimizer === 'adam'
      ? 1
      : { mean: 1, sqrt: Math.sqrt(records_per_round), sum: records_per_round }[run.reduction];
  const further = Math.min(MOST_FOR_A_PART, 1 / part);
  const knowsSlopes = run.optimizer === 'sgd' || run.optimizer === 'momentum';
  const own = ADAPTERS[run.adapter][knowsSlopes ? 0 : 1] * TIMES[run.optimizer](run) * further;
  return forMore((mean * own) / divided, zeroth, POWER);
}

/**
 * What an optimizer's rate is of plain SGD's. Steps that no longer know how steep the loss is count in units of a slope:
 * about 10 to 20 for a single sample of the demo. With momentum a slope counts 1 / (1 - momentum) times.
 *
 * Measured, `rate loss` after 40 rounds of 64 single samples of the demo, from 0.687 (docs/papers/zo-bench.md):
 *
 *     sgd          1e-3 0.398
 *     sign         3e-3 0.636   1e-2   0.548   2e-2 0.434
 *     normalised   3e-3 0.636   1e-2   0.503   2e-2 0.343
 *     momentum     1e-4 0.481   1.5e-4 0.462   3e-4 0.356
 *     scalar_adam  3e-3 0.633   1e-2   0.511   2e-2 0.421
 *     adam         3e-4 0.647   1e-3   0.514   3e-3 0.380
 */
const TIMES: Readonly<Record<RunFile['optimizer'], (run: Pick<RunFile, 'momentum'>) => number>> = {
  sgd: () => 1,
  sign: () => 20,
  normalised: () => 20,
  momentum: ({ momentum }) => 1.5 * (1 - momentum),
  scalar_adam: () => 20,
  adam: () => 2,
};
