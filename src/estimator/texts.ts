/**
 * Prompts → texts, by `decode.ts`: what generation, exact answers and rewards are made of.
 *
 * @module
 */
import { sequencesFor } from '../data/batch.ts';
import type { Model } from '../model/stage.ts';
import type { Tokenizer } from '../model/tokenizer.ts';
import { continuations, longestText, type Prompt, type Sampling, type Sides } from '../objective/decode.ts';
import type { Forward } from '../objective/forward.ts';

/** What writes. */
export interface Writer {
  readonly forward: Forward;
  readonly model: Pick<Model, 'positions' | 'blocks' | 'virtual'>;
  readonly tokenizer: Pick<Tokenizer, 'decode' | 'isEnd'>;
}

export interface Writing extends Sampling {
  /** A text ends before the first of these that it comes to. */
  readonly stop: readonly string[];
}

/** `text` before the first of `stop`. */
export function before(text: string, stop: readonly string[]): string {
  const places = stop.map((word) => text.indexOf(word)).filter((at) => at >= 0);
  return places.length === 0 ? text : text.slice(0, Math.min(...places));
}

/**
 * The text after each prompt. The same alone and in any company, but for what floats leave of a tie.
 * @param sides see `continuations`
 */
export async function writeTexts(
  { forward, model, tokenizer }: Writer,
  prompts: readonly Prompt[],
  writing: Writing,
  sides?: Sides,
): Promise<string[]> {
  // Decoders treat the first token of a text unlike others, so the prompt is decoded with what follows it.
  const heads = prompts.map(({ ids }) => tokenizer.decode(ids).length);
  const after = (ids: readonly number[], prompt: number): string => tokenizer.decode(ids).slice(heads[prompt]!);
  const { stop } = writing;
  const most = Math.max(1, ...prompts.map(({ ids }) => ids.length));
  const ends = {
    isEnd: (id: number) => tokenizer.isEnd(id),
    isDone: (ids: readonly number[], prompt: number): boolean => {
      const text = stop.length > 0 ? after(ids, prompt) : '';
      return stop.some((word) => text.includes(word));
    },
  };
  const width = sequencesFor(Math.min(longestText(model), most));
  const written = await continuations(forward, model, prompts, writing, width, ends, sides);
  return prompts.map(({ ids }, i) => before(after([...ids, ...written[i]!], i), stop));
}
