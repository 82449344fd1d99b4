/**
 * Tokens after tokens: several texts side by side, from the weights as they are or on both sides of directions. The
 * prompts are read once; then every step reads one token of each text and the keys and values of those before it. A model
 * whose blocks keep none reads its whole text for every token.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Model } from '../model/stage.ts';
import type { Batch, DirectionKey } from '../nouns.ts';
import { type Cache, emptyCache, grown, hasCache } from './cache.ts';
import type { Forward } from './forward.ts';
import { lanesOf, type Perturbation } from './perturbation.ts';

/** How a token is taken from what the model says. Names are those of transformers' GenerationConfig. */
export interface Sampling {
  readonly max_new_tokens: number;
  /** 0 takes the likeliest token. */
  readonly temperature: number;
  /** The likeliest tokens that together have this probability are drawn from; 1 is all (Holtzman et al. 2019, arXiv:1904.09751). */
  readonly top_p: number;
}

export interface Prompt {
  readonly ids: readonly number[];
  /** Uniform numbers in [0, 1), one for each new token; unused at temperature 0. */
  readonly draws: readonly number[];
  /** Direction that it is continued along. */
  readonly key?: DirectionKey;
}

type WithoutKeys<P> = P extends Perturbation ? Omit<P, 'keys'> : never;
/** A perturbation whose keys come with the prompts. */
export type Sides = WithoutKeys<Perturbation>;

/** Programs are compiled for prompts and for caches of multiples of this, the tail padded. */
const STEP = 32;
/** Memory is set aside for texts of so many tokens. */
const MAX_TOKENS = 2048;

/** Tokens of the longest text, prompt included. */
export const longestText = ({ positions }: Pick<Model, 'positions'>): number => Math.min(positions, MAX_TOKENS);

/** Texts that share a call. */
interface Company {
  readonly key: DirectionKey | undefined;
  readonly prompts: readonly Prompt[];
  /** Number of its first prompt among all. */
  readonly first: number;
  readonly texts: number[][];
  readonly done: boolean[];
  /** (lanes) */
  caches: Cache[];
}

/**
 * What follows each prompt, up to `isEnd` (not part of it), `isDone`, `max_new_tokens` or `longestText`.
 *
 * @param sequences of a call at most, even.
 * @param sides other than `none`: prompts are given twice, as neighbours; 2i goes on at θ + delta z, 2i + 1 at θ - delta z.
 * @param isDone of all tokens of a text so far and the number of the prompt.
 * @returns (prompts) new tokens
 */
export async function continuations(
  forward: Forward,
  model: Pick<Model, 'positions' | 'blocks' | 'virtual'>,
  prompts: readonly Prompt[],
  sampling: Sampling,
  sequences: number,
  ends: { isEnd(id: number): boolean; isDone(ids: readonly number[], prompt: number): boolean },
  sides: Sides = { kind: 'none' },
): Promise<readonly (readonly number[])[]> {
  const longest = longestText(model);
  const cached = hasCache(model);
  const companies = companiesOf(prompts, sequences, sides);

  for (let step = 0; step < sampling.max_new_tokens; step++) {
    for (const { texts, done } of companies)
      for (const [s, ids] of texts.entries()) if (ids.length >= longest) done[s] = true;
    const active = companies.filter(({ done }) => done.includes(false));
    if (active.length === 0) break;
    const goesOn = cached && step > 0;
    const batches = active.map(({ texts }) => (goesOn ? lastTokens(texts) : wholeTexts(texts, longest)));
    if (cached)
      for (const [i, company] of active.entries()) {
        makeRoom(model, company, lanesOf(sides));
        const { capacity } = company.caches[0]!;
        batches[i] = { ...batches[i]!, past: goesOn ? capacity : 0 };
      }
    const caches = Array.from({ length: lanesOf(sides) }, (_, lane) => active.map((company) => company.caches[lane]!));
    const p = perturbationOf(sides, active);
    const outputs = await forward.run(batches, { kind: 'logits' }, p, undefined, cached ? caches : undefined);
    for (const [i, { prompts: own, first, texts, done }] of active.entries())
      for (const [s, ids] of texts.entries()) {
        if (done[s]) continue;
        // Dense lanes hold every text under both signs; each goes on under its own.
        const logits = outputs[sides.kind === 'dense' ? s & 1 : 0]![i]!;
        const vocabulary = logits.length / texts.length;
        const row = logits.subarray(s * vocabulary, (s + 1) * vocabulary);
        const next = choose(row, sampling.temperature, own[s]!.draws[step] ?? 0, sampling.top_p);
        if (ends.isEnd(next)) done[s] = true;
        else {
          ids.push(next);
          done[s] = ends.isDone(ids, first + s);
        }
      }
  }
  return companies.flatMap(({ prompts: own, texts }) => texts.map((ids, s) => ids.slice(own[s]!.ids.length)));
}

/** Neighbours together; a dense direction has calls of its own. */
function companiesOf(prompts: readonly Prompt[], sequences: number, { kind }: Sides): Company[] {
  const companies: { key: DirectionKey | undefined; first: number; prompts: Prompt[] }[] = [];
  for (const [first, prompt] of prompts.entries()) {
    const last = companies.at(-1);
    if (last && last.prompts.length < sequences && (kind !== 'dense' || last.key === prompt.key))
      last.prompts.push(prompt);
    else companies.push({ key: prompt.key, first, prompts: [prompt] });
  }
  return companies.map((company) => ({
    ...company,
    texts: company.prompts.map(({ ids }) => [...ids]),
    done: company.prompts.map(() => false),
    caches: [],
  }));
}

function perturbationOf(sides: Sides, companies: readonly Company[]): Perturbation {
  switch (sides.kind) {
    case 'none':
      return sides;
    case 'dense':
      return { ...sides, keys: companies.map(({ key }) => key!) };
    case 'sided':
      return {
        ...sides,
        keys: companies.map(({ prompts }) => prompts.filter((_, s) => s % 2 === 0).map(({ key }) => key!)),
      };
  }
}

export const stepped = (tokens: number): number => Math.ceil(tokens / STEP) * STEP;

/** Caches that hold every token of the texts. */
function makeRoom(model: Pick<Model, 'blocks'>, company: Company, lanes: number): void {
  const { texts, caches } = company;
  const wanted = stepped(Math.max(...texts.map(({ length }) => length)));
  if (caches.length === 0)
    company.caches = Array.from({ length: lanes }, () => emptyCache(model, texts.length, wanted));
  else if (caches[0]!.capacity < wanted) company.caches = caches.map((cache) => grown(cache, wanted));
}

/** All tokens of texts of unlike lengths, scored at the last of each. */
function wholeTexts(texts: readonly (readonly number[])[], longest: number): Batch {
  const tokens = Math.min(longest, stepped(Math.max(...texts.map(({ length }) => length))));
  const ids = new Int32Array(texts.length * tokens);
  for (const [s, text] of texts.entries()) ids.set(text, s * tokens);
  const at = texts.map(({ length }, s) => s * tokens + length - 1);
  return batchOf(tokens, ids, at, new Int32Array(texts.length));
}

/** The last token of each text, behind all others. */
const lastTokens = (texts: readonly (readonly number[])[]): Batch =>
  batchOf(
    1,
    Int32Array.from(texts, (text) => text.at(-1)!),
    texts.map((_, s) => s),
    Int32Array.from(texts, ({ length }) => length - 1),
  );

function batchOf(tokens: number, ids: Int32Array, at: readonly number[], starts: Int32Array): Batch {
  const sequences = at.length;
  return {
    ...{ sequences, tokens, scored: 1, ids, starts },
    at: Int32Array.from(at),
    targets: new Int32Array(sequences),
    weights: new Float32Array(sequences).fill(1),
    lengths: new Int32Array(sequences).fill(tokens), // a causal model asks for no padding
    members: Int32Array.from({ length: sequences }, (_, s) => s),
  };
}

/**
 * The likeliest token, the first of several, or one drawn from softmax(logits / temperature) by inverting its
 * distribution at `draw`, the tail beyond `top_p` cut off.
 * @throws {Fault} DIVERGED when a logit is not a number
 */
export function choose(logits: Float32Array, temperature: number, draw: number, top_p = 1): number {
  const top = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  if (!Number.isFinite(top))
    throw new Fault('DIVERGED', 'the logits are not numbers; take the weights of an earlier round');
  if (temperature === 0) return logits.indexOf(top);
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - top) / temperature));
  if (top_p < 1) cutTail(weights, top_p);
  let left = draw * weights.reduce((a, b) => a + b, 0);
  const drawn = weights.findIndex((weight) => (left -= weight) < 0);
  return drawn < 0 ? weights.findLastIndex((weight) => weight > 0) : drawn;
}

/** Keeps the fewest of the largest weights that have `part` of the sum: the last of them reaches it. */
function cutTail(weights: Float64Array, part: number): void {
  let left = part * weights.reduce((a, b) => a + b, 0);
  const order = Array.from(weights.keys()).sort((a, b) => weights[b]! - weights[a]!);
  for (const i of order) {
    if (left <= 0) weights[i] = 0;
    left -= weights[i]!;
  }
}
