/**
 * Text ⇄ token ids, as `tokenizer.json` says, through `@huggingface/tokenizers`.
 *
 * @module
 */
import { Tokenizer as Engine } from '@huggingface/tokenizers';
import { Fault } from '../faults.ts';
import type { Model } from './stage.ts';

export interface Tokenizer {
  /** @param options `special` adds what the tokenizer puts around a text, as transformers does by default. */
  encode(text: string, options: { readonly special: boolean }): number[];
  /** Leaves special tokens out. */
  decode(ids: readonly number[]): string;
  /** Whether a token ends a text. */
  isEnd(id: number): boolean;
  /** Id of the token that a masked model fills in. Absent: the model is causal. */
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

/** Mask tokens of BERT and RoBERTa, where the files of an older checkpoint do not name theirs. */
const MASKS = ['[MASK]', '<mask>'];

/** @throws {Fault} TOKENIZER_MISMATCH where there is no mask token, or nothing around a text */
function maskOf(engine: Engine, named: string | undefined): number {
  const refusal = (what: string) =>
    new Fault(
      'TOKENIZER_MISMATCH',
      `tokenizer.json ${what}; make one with transformers: save_pretrained of its tokenizer`,
    );
  const text = (named === undefined ? MASKS : [named]).find((token) => engine.token_to_id(token) !== undefined);
  if (text === undefined) throw refusal(`has no mask token ${named ?? MASKS.join(' or ')}, which a masked model needs`);
  const count = (special: boolean): number => engine.encode('a', { add_special_tokens: special }).ids.length;
  if (count(true) < count(false) + 2) throw refusal('puts nothing around a text, as masked models expect');
  return engine.token_to_id(text)!;
}

/** @throws {Fault} TOKENIZER_MISMATCH */
function openEngine(json: string, config: Readonly<Record<string, unknown>>): Engine {
  // transformers cleans up only where it is told to; the library's default is the opposite.
  const settings = { ...config, clean_up_tokenization_spaces: config['clean_up_tokenization_spaces'] === true };
  try {
    return new Engine(parseObject('tokenizer.json', json), settings);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault('TOKENIZER_MISMATCH', `tokenizer.json cannot be used: ${why}`, { cause });
  }
}

function largestId(engine: Engine): number {
  let largest = -1;
  for (const id of engine.get_vocab().values()) largest = Math.max(largest, id);
  return largest;
}

/** What the configuration of a model says of its tokenizer. */
export interface Vocabulary {
  /** Rows of an embedding. */
  readonly size: number;
  /** Ids of the tokens that begin and end a text, where the tokenizer names any. */
  readonly begin: number | undefined;
  readonly end: number | undefined;
}

/** For a model that is not there yet. @throws {Fault} TOKENIZER_MISMATCH */
export function vocabularyOf(json: string, configJson: string): Vocabulary {
  const config = parseObject('tokenizer_config.json', configJson);
  const engine = openEngine(json, config);
  const idOf = (key: string): number | undefined => {
    const text = tokenText(config[key]);
    return text === undefined ? undefined : engine.token_to_id(text);
  };
  return { size: largestId(engine) + 1, begin: idOf('bos_token'), end: idOf('eos_token') };
}

/**
 * @param json text of `tokenizer.json`. @param configJson text of `tokenizer_config.json`, `{}` where there is none.
 * @throws {Fault} TOKENIZER_MISMATCH if it is unreadable, or has ids that the model has no embedding for
 */
export function openTokenizer(
  json: string,
  configJson: string,
  { vocabulary, kind = 'causal' }: Pick<Model, 'vocabulary'> & Partial<Pick<Model, 'kind'>>,
): Tokenizer {
  const config = parseObject('tokenizer_config.json', configJson);
  const engine = openEngine(json, config);
  const largest = largestId(engine);
  if (largest >= vocabulary)
    throw new Fault(
      'TOKENIZER_MISMATCH',
      `tokenizer.json has ids up to ${largest}, the model knows ${vocabulary}; use the tokenizer the model came with`,
    );

  const end = tokenText(config['eos_token']);
  const endId = end === undefined ? undefined : engine.token_to_id(end);
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
    isEnd: (id) => id === endId,
    mask: kind === 'masked' ? maskOf(engine, tokenText(config['mask_token'])) : undefined,
  };
}
