/**
 * Windows of text some tokens of which are hidden, for models that look both ways (BERT, Devlin et al. 2019,
 * arXiv:1810.04805, section 3.1). Departures: every token that is chosen is replaced by the mask token, and each window has
 * the same number of them, hidden in the same places in every epoch and on every machine.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Example } from '../nouns.ts';
import { SHARED_SLOT } from '../nouns.ts';
import { block, HIDDEN_STREAM } from '../numeric/noise.ts';
import { around, type Encoder } from './tokens.ts';

export interface Hidden {
  /** Of the text, one after the other. */
  readonly tokens: Int32Array;
  /** Tokens of an example, with what the tokenizer puts around a text. */
  readonly window: number;
  /** Part of them that is hidden. */
  readonly masked: number;
  readonly seed: number;
  readonly part: 'training' | 'evaluation';
  /** For messages. */
  readonly file: string;
}

/** How many of `count` tokens are hidden: the nearest whole number, at least one. */
export const hiddenCount = (masked: number, count: number): number => Math.max(1, Math.floor(masked * count + 0.5));

/**
 * The `hiddenCount` places of window `index` whose words of stream 14 are smallest, ascending.
 * @param component 0 for training, 1 for evaluation.
 */
function placesOf(index: number, count: number, masked: number, seed: number, component: number): number[] {
  const words = new Uint32Array(4);
  const key = { round: seed >>> 0, run: 0, sample: index, slot: SHARED_SLOT };
  const drawn = Array.from({ length: count }, (_, i) => ({
    place: i,
    word: block(key, HIDDEN_STREAM, component, 0, i >>> 2, words)[i & 3]!,
  }));
  drawn.sort((a, b) => a.word - b.word || a.place - b.place);
  return drawn
    .slice(0, hiddenCount(masked, count))
    .map(({ place }) => place)
    .sort((a, b) => a - b);
}

/** @throws {Fault} CONFIG_INVALID for a tokenizer without a mask token; DATA_INVALID for a text without a window */
export function hiddenWindows({ tokens, window, masked, seed, part, file }: Hidden, encoder: Encoder): Example[] {
  const { mask } = encoder;
  if (mask === undefined)
    throw new Fault('CONFIG_INVALID', 'task: masked_lm needs a mask token, which this tokenizer has not; take task lm');
  const [opening, closing] = around(encoder);
  // Tokens of a text are opened once: see `textTokens`.
  const text = opening.every((id, i) => tokens[i] === id) ? tokens.subarray(opening.length) : tokens;
  const own = window - opening.length - closing.length;
  if (own < 1)
    throw new Fault('CONFIG_INVALID', `block_size: ${window} leaves no room for text between special tokens; raise it`);
  const examples = Array.from({ length: Math.floor(text.length / own) }, (_, index): Example => {
    const read = text.slice(index * own, (index + 1) * own);
    const places = placesOf(index, own, masked, seed, part === 'training' ? 0 : 1);
    const targets = Int32Array.from(places, (place) => read[place]!);
    for (const place of places) read[place] = mask;
    return {
      tokens: Int32Array.from([...opening, ...read, ...closing]),
      at: Int32Array.from(places, (place) => opening.length + place),
      targets,
    };
  });
  if (examples.length > 0) return examples;
  throw new Fault(
    'DATA_INVALID',
    `${file}: ${text.length} tokens for ${part} hold no window of ${own}; give more text or a smaller block_size`,
  );
}
