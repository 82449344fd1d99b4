/**
 * Text from the weights as they are: what `murmur generate` asks of a replica.
 *
 * @module
 */

import { bare, opening } from '../data/tokens.ts';
import { type Writing, writeTexts } from '../estimator/texts.ts';
import { Fault } from '../faults.ts';
import type { Model } from '../model/stage.ts';
import type { Tokenizer } from '../model/tokenizer.ts';
import { longestText } from '../objective/decode.ts';
import type { Forward } from '../objective/forward.ts';

export interface Generation extends Writing {
  /** (prompts)(max_new_tokens) uniform numbers in [0, 1); unused at temperature 0. */
  readonly draws: readonly (readonly number[])[];
}

/**
 * @returns the texts that follow the prompts, up to a stop string, an end-of-text token, `max_new_tokens`, or
 * `longestText`.
 * @throws {Fault} MODEL_UNSUPPORTED for a masked model; CONFIG_INVALID for a prompt of no tokens or of more than `longestText`
 */
export async function generate(
  forward: Forward,
  model: Pick<Model, 'kind' | 'positions' | 'blocks' | 'virtual'>,
  tokenizer: Tokenizer,
  prompts: readonly string[],
  { draws, ...writing }: Generation,
): Promise<string[]> {
  if (model.kind === 'masked')
    throw new Fault('MODEL_UNSUPPORTED', 'a masked model fills in words and continues no text; choose a causal model');
  const longest = longestText(model);
  const start = opening(tokenizer);
  const read = prompts.map((prompt, i) => {
    const ids = [...start, ...bare(tokenizer, prompt)];
    if (ids.length === 0) throw new Fault('CONFIG_INVALID', '--prompt: has no tokens; give it some text');
    if (ids.length > longest)
      throw new Fault(
        'CONFIG_INVALID',
        `--prompt: is ${ids.length} tokens, at most ${longest} can be read; shorten it`,
      );
    return { ids, draws: draws[i] ?? [] };
  });
  return writeTexts({ forward, model, tokenizer }, read, writing);
}
