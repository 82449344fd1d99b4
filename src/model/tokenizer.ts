/**
 * Text ⇄ token ids, as `tokenizer.json` says, through `@huggingface/tokenizers`.
 *
 * @module
 */
import { Tokenizer as Engine } from '@huggingface/tokenizers';
import { Fault } from '../faults.ts';

export interface Tokenizer {
  /** @param options `special` adds what the tokenizer puts around a text, as transformers does by default. */
  encode(text: string, options: { readonly special: boolean }): number[];
  /** Leaves special tokens out. */
  decode(ids: readonly number[]): string;
  /** Whether a token ends a text. */
  isEnd(id: number): boolean;
  readonly end?: number | undefined;
  /** The token that stands for a hidden one, of models that have one. */
  readonly mask?: number | undefined;
}

/** Of `tokenizer_config.json`: a token is given as text, or as the fields of an added token. */
export function tokenText(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  const content = (token as { content?: unknown } | null | undefined)?.content;
  return typeof content === 'string' ? content : undefined;
}

export function parseObject(name: string, json: string): Record<string, unknown> {
  const refusal = (cause?: unknown) =>
    new Fault('TOKENIZER_MISMATCH', `${name} is not a JSON object; fetch it again`, { cause });
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw refusal(cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refusal();
  return value as Record<string, unknown>;
}

/**
 * @param json text of `tokenizer.json`. @param configJson text of `tokenizer_config.json`, `{}` where there is none.
 * @throws {Fault} TOKENIZER_MISMATCH if it is unreadable, or has ids that the model has no embedding for
 */
export function openTokenizer(
  json: string,
  configJson: string,
  { vocabulary }: { readonly vocabulary: number },
): Tokenizer {
  const config = parseObject('tokenizer_config.json', configJson);
  // transformers cleans up only where it is told to; the library's default is the opposite.
  const settings = { ...config, clean_up_tokenization_spaces: config['clean_up_tokenization_spaces'] === true };
  let engine: Engine;
  try {
    engine = new Engine(parseObject('tokenizer.json', json), settings);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault('TOKENIZER_MISMATCH', `tokenizer.json cannot be used: ${why}`, { cause });
  }
  let largest = -1;
  for (const id of engine.get_vocab().values()) largest = Math.max(largest, id);
  if (largest >= vocabulary)
    throw new Fault(
      'TOKENIZER_MISMATCH',
      `tokenizer.json has ids up to ${largest}, the model knows ${vocabulary}; use the tokenizer the model came with`,
    );

  const idOf = (token: string | undefined): number | undefined =>
    token === undefined ? undefined : (engine.token_to_id(token) ?? undefined);
  const [end, mask] = [idOf(tokenText(config['eos_token'])), idOf(tokenText(config['mask_token']))];
  return {
    encode(text, { special }) {
      const ids: number[] = engine.encode(text, { add_special_tokens: special }).ids;
      if (!ids.every(Number.isInteger))
        throw new Fault(
          'TOKENIZER_MISMATCH',
          'tokenizer.json has no token for a part of the text, and no unknown token',
        );
      return ids;
    },
    decode: (ids) => (ids.length === 0 ? '' : engine.decode([...ids], { skip_special_tokens: true })),
    isEnd: (id) => id === end,
    end,
    mask,
  };
}
