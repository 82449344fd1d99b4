/**
 * Weights and a direction → inputs of a program that was made by `jvp`: weights as they are, and scale · z as their
 * tangents. Both ways of `feeds.ts` are used as they are, on weights that are there and on weights that are not.
 *
 * Low-rank: in the sided form y = x Wᵀ + (x · v) u, at u = 0, where a tangent u̇ of u gives ẏ = ẋ Wᵀ + (x · v) u̇ and z is
 * never made. Its feeds come in pairs, one for each sign of a measurement; a derivative takes the first of each.
 *
 * @module
 */
import { DOT } from '../graph/jvp.ts';
import type { Binding, Dims, Form, Head, Model, Stage } from '../model/stage.ts';
import type { Page } from '../model/weights.ts';
import type { Batch, Direction, DirectionKey } from '../nouns.ts';
import { everything } from '../numeric/mask.ts';
import { batchFeeds, type Feeds, isVector, stageFeeds } from './feeds.ts';
import { scratchLength } from './forward.ts';
import type { Dense, Perturbation, Sided } from './perturbation.ts';

/** Inputs of one batch. What it takes of scratch is free again at the next call. */
export type FeedsOf = (batch: Batch, keys: readonly DirectionKey[]) => Feeds;

const PLAIN: Perturbation = { kind: 'none' };

const isSided = ({ kind }: Direction): boolean => kind === 'lowrank';

/** The form of programs whose weights move along a direction. */
export const formAlong = (direction: Direction): Form =>
  isSided(direction) ? { kind: 'sided', rank: direction.rank } : { kind: 'plain' };

/** Name of the input that moves when the tensor of a binding does. */
export const movedInput = (direction: Direction, { input, access }: Binding, shape: readonly number[]): string =>
  isSided(direction) && !isVector(access, shape) ? `${input}.u` : input;

const doubled = (dims: Dims): Dims => ({ ...dims, sequences: 2 * dims.sequences });

/** Floats of scratch that a call takes: weights as they are, and the noise of a direction beside them. */
export const tangentScratch = (
  model: Model,
  direction: Direction,
  calls: readonly { readonly dims: Dims; readonly head: Head }[],
): number => {
  const { rank } = direction;
  const most = (plans: Parameters<typeof scratchLength>[1]): number => scratchLength(model, plans);
  const plain = calls.map((call) => ({ ...call, perturbation: { kind: 'none' } as const }));
  if (!isSided(direction))
    return most(plain) + most(calls.map((call) => ({ ...call, perturbation: { kind: 'dense' } as const })));
  const sided = calls.map(({ dims, head }) => ({
    dims: doubled(dims),
    head,
    perturbation: { kind: 'sided', rank } as const,
  }));
  return Math.max(most(plain), 2 * most(sided));
};

/**
 * With this exponent the largest weight is 2^-70: added to noise it is rounded away, and what stands in the place of a
 * noise of 0 is far below the rounding of anything it is added to. So perturbing such weights gives the noise alone.
 */
const AWAY = -100;

const awayFrom = (page: Page): Page => ({
  ...page,
  tensor: (name) => ({ ...page.tensor(name), exponent: AWAY }),
});

/** Noise as tangents of the inputs `wrt`. */
const dotsOf = (noise: Feeds, wrt: ReadonlySet<string>): Feeds =>
  Object.fromEntries(
    Object.entries(noise).flatMap(([input, z]) => (wrt.has(input) ? [[input + DOT, z] as const] : [])),
  );

/** Of a stage in which nothing moves. */
export function plainFeeds(stage: Stage, page: Page, choices: Int32Array): FeedsOf {
  const [shared] = stageFeeds(stage, page, PLAIN, undefined);
  const mark = page.scratch.mark();
  return (batch) => {
    page.scratch.release(mark);
    return { ...shared, ...batchFeeds(stage, page, PLAIN, batch, choices, [])[0] };
  };
}

/** @param wrt inputs of the stage that move. */
export const tangentFeeds = (
  stage: Stage,
  page: Page,
  direction: Direction,
  wrt: ReadonlySet<string>,
  choices: Int32Array,
): FeedsOf => (isSided(direction) ? sidedFeeds : denseFeeds)(stage, page, direction, wrt, choices);

/** The noise of a key is made once for the batches that follow each other with it. */
function denseFeeds(
  stage: Stage,
  page: Page,
  { kind, rank, scale }: Direction,
  wrt: ReadonlySet<string>,
  choices: Int32Array,
): FeedsOf {
  const away = awayFrom(page);
  const along: Dense = { kind: 'dense', noise: kind, rank, delta: scale, keys: [], kept: everything };
  const [weights] = stageFeeds(stage, page, PLAIN, undefined);
  const start = page.scratch.mark();
  let made: DirectionKey | undefined;
  let dots: Feeds = {};
  let shared = start;
  return (batch, [key]) => {
    if (made !== key) {
      page.scratch.release(start);
      dots = dotsOf(stageFeeds(stage, away, along, key)[0]!, wrt);
      shared = page.scratch.mark();
      made = key;
    }
    page.scratch.release(shared);
    const [rows] = batchFeeds(stage, page, PLAIN, batch, choices, []);
    const [noise] = batchFeeds(stage, away, along, batch, choices, [key!]);
    return { ...weights, ...dots, ...rows, ...dotsOf(noise!, wrt) };
  };
}

/** A direction for every sequence. */
function sidedFeeds(
  stage: Stage,
  page: Page,
  { rank, scale }: Direction,
  wrt: ReadonlySet<string>,
  choices: Int32Array,
): FeedsOf {
  const still: Sided = { kind: 'sided', rank, delta: 0, keys: [], kept: everything };
  const along: Sided = { ...still, delta: scale };
  const away = awayFrom(page);
  const [weights] = stageFeeds(stage, page, still, undefined);
  const start = page.scratch.mark();
  const own = new Set(stage.bindings.flatMap((binding) => ownInputs(binding, page.tensor(binding.tensor).shape)));
  return (batch, keys) => {
    page.scratch.release(start);
    const pairs = paired(batch);
    const firsts = (feeds: Feeds): Feeds =>
      Object.fromEntries(
        Object.entries(feeds).map(([input, x]) => [input, own.has(input) ? firstOfPairs(x, batch.sequences) : x]),
      );
    const values = firsts(batchFeeds(stage, page, still, pairs, choices, keys)[0]!);
    const noise = firsts(batchFeeds(stage, away, along, pairs, choices, keys)[0]!);
    // What belongs to the batch comes for each sequence, not for each side of it.
    return { ...weights, ...values, ...dotsOf(noise, wrt), ...stage.batchInputs?.(batch) };
  };
}

/** Inputs of a binding, in sided form, that have a part for every sequence. */
function ownInputs({ input, access }: Binding, shape: readonly number[]): readonly string[] {
  const sides = [`${input}.u`, `${input}.v`];
  return isVector(access, shape) || (access.as === 'rows' && access.of === 'tokens') ? [input, ...sides] : sides;
}

/** Every sequence twice. */
function paired(batch: Batch): Batch {
  const { sequences } = batch;
  const tokens = batch.ids.length / sequences; // behind a prompt, a sequence has more
  const ids = new Int32Array(2 * batch.ids.length);
  for (let s = 0; s < 2 * sequences; s++)
    ids.set(batch.ids.subarray((s >> 1) * tokens, ((s >> 1) + 1) * tokens), s * tokens);
  return { ...batch, sequences: 2 * sequences, ids };
}

function firstOfPairs(x: Feeds[string], sequences: number): Float32Array {
  const length = x.length / (2 * sequences);
  const out = new Float32Array(length * sequences);
  for (let s = 0; s < sequences; s++) out.set(x.subarray(2 * s * length, (2 * s + 1) * length), s * length);
  return out;
}
