/**
 * Text from the weights as they are: one whole forward pass a token, without a cache of keys and values.
 *
 * @module
 */

import { bare, opening } from '../data/tokens.ts';
import { Fault } from '../faults.ts';
import type { Model } from '../model/stage.ts';
import type { Tokenizer } from '../model/tokenizer.ts';
import type { Batch } from '../nouns.ts';
import type { Forward } from '../objective/forward.ts';

export interface Generation {
  readonly max_new_tokens: number;
  /** 0 takes the likeliest token. */
  readonly temperature: number;
  /** Uniform numbers in [0, 1), one for each new token; unused at temperature 0. */
  readonly draws: readonly number[];
}

/** Programs are compiled for lengths of multiples of this, the tail padded. */
const STEP = 32;
/** Every token costs a pass over all before it: longer texts want a cache, and memory is set aside for the longest. */
const MAX_TOKENS = 2048;

/** Tokens of the longest text, prompt included. */
export const longestText = ({ positions }: Pick<Model, 'positions'>): number => Math.min(positions, MAX_TOKENS);

/**
 * @returns the text that follows the prompt, up to an end-of-text token, `max_new_tokens`, or `longestText`.
 * @throws {Fault} MODEL_UNSUPPORTED for a masked model; CONFIG_INVALID for a prompt of no tokens or of more than
 * `longestText`
 */
export async function generate(
  forward: Forward,
  model: Model,
  tokenizer: Tokenizer,
  prompt: string,
  { max_new_tokens, temperature, draws }: Generation,
): Promise<string> {
  if (model.kind === 'masked')
    throw new Fault('MODEL_UNSUPPORTED', 'a masked model fills in words and continues no text; choose a causal model');
  const longest = longestText(model);
  const ids = [...opening(tokenizer), ...bare(tokenizer, prompt)];
  const start = ids.length;
  if (start === 0) throw new Fault('CONFIG_INVALID', '--prompt: has no tokens; give it some text');
  if (start > longest)
    throw new Fault('CONFIG_INVALID', `--prompt: is ${start} tokens, at most ${longest} can be read; shorten it`);
  for (let n = 0; n < max_new_tokens && ids.length < longest; n++) {
    const [lane] = await forward.run([lastPosition(ids, longest)], { kind: 'logits' }, { kind: 'none' });
    const next = choose(lane![0]!, temperature, draws[n] ?? 0);
    if (tokenizer.isEnd(next)) break;
    ids.push(next);
  }
  // Decoders treat the first token of a text unlike others, so the prompt is decoded with what follows it.
  return tokenizer.decode(ids).slice(tokenizer.decode(ids.slice(0, start)).length);
}

function lastPosition(ids: readonly number[], longest: number): Batch {
  const tokens = Math.min(longest, Math.ceil(ids.length / STEP) * STEP);
  const padded = new Int32Array(tokens);
  padded.set(ids);
  return {
    sequences: 1,
    tokens,
    scored: 1,
    ids: padded,
    at: Int32Array.of(ids.length - 1),
    targets: new Int32Array(1),
    weights: Float32Array.of(1),
    lengths: Int32Array.of(ids.length),
    members: Int32Array.of(0),
  };
}

/**
 * The likeliest token, the first of several, or one drawn from softmax(logits / temperature) by inverting its
 * distribution at `draw`.
 * @throws {Fault} DIVERGED when a logit is not a number
 */
export function choose(logits: Float32Array, temperature: number, draw: number): number {
  const top = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  if (!Number.isFinite(top))
    throw new Fault('DIVERGED', 'the logits are not numbers; take the weights of an earlier round');
  if (temperature === 0) return logits.indexOf(top);
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - top) / temperature));
  let left = draw * weights.reduce((a, b) => a + b, 0);
  const drawn = weights.findIndex((weight) => (left -= weight) < 0);
  return drawn < 0 ? weights.findLastIndex((weight) => weight > 0) : drawn;
}
