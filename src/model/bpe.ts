/**
 * `vocab.json` and `merges.txt` → `tokenizer.json`. OPT and GPT-2 repositories of the Hub often hold only the former;
 * transformers then builds its byte-level BPE tokenizer from them as done here.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { parseObject, tokenText } from './tokenizer.ts';

const SPECIAL = ['bos_token', 'eos_token', 'unk_token', 'pad_token', 'mask_token'] as const;

/** @returns text of a tokenizer.json. @throws {Fault} TOKENIZER_MISMATCH */
export function byteLevelTokenizer(vocabJson: string, mergesText: string, configJson: string): string {
  const vocab = parseObject('vocab.json', vocabJson);
  const config = parseObject('tokenizer_config.json', configJson);
  const merges = mergesText.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#version'));
  const pairs = merges.map((line) => line.split(' '));
  if (pairs.some((pair) => pair.length !== 2))
    throw new Fault('TOKENIZER_MISMATCH', 'merges.txt has a line that is not two tokens; fetch it again');

  const special = new Set(SPECIAL.flatMap((key) => tokenText(config[key]) ?? []));
  const added = [...special].flatMap((content) => {
    const id = vocab[content];
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
    return typeof id === 'number' ? [{ id, content, ...flags }] : [];
  });
  const bos =
    config['add_bos_token'] === true
      ? added.find(({ content }) => content === tokenText(config['bos_token']))
      : undefined;
  const prefix = config['add_prefix_space'] === true;
  const text = { Sequence: { id: 'A', type_id: 0 } };
  const mark = bos && { SpecialToken: { id: bos.content, type_id: 0 } };
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.sort((a, b) => a.id - b.id),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: prefix, trim_offsets: true, use_regex: true },
    post_processor: mark
      ? {
          type: 'TemplateProcessing',
          single: [mark, text],
          pair: [mark, text, mark, { Sequence: { id: 'B', type_id: 1 } }],
          special_tokens: { [bos.content]: { id: bos.content, ids: [bos.id], tokens: [bos.content] } },
        }
      : { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges: pairs,
    },
  });
}
