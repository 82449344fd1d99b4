import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { byteLevelTokenizer } from '../../src/model/bpe.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { readJson, readReference } from './folder.ts';

const SHARED = '../shared/tokenizers';
const text = (...path: string[]): string => readFileSync(join(...path), 'utf8');

describe.each(['assets/quill', '../shared/models/stories260k'])('%s', (folder) => {
  test.skipIf(!existsSync(folder))('ids and text are those of the reference', () => {
    const { vocab_size: vocabulary } = readJson(join(folder, 'config.json')) as { vocab_size: number };
    const tokenizer = openTokenizer(text(folder, 'tokenizer.json'), text(folder, 'tokenizer_config.json'), {
      vocabulary,
    });
    for (const sample of readReference(folder)) {
      expect(tokenizer.encode(sample.text!, { special: true })).toEqual(sample.input_ids);
      expect(tokenizer.encode(sample.text!, { special: false })).toEqual(sample.input_ids.slice(1));
      expect(tokenizer.decode(sample.input_ids).trimStart()).toBe(sample.text);
    }
    expect([0, 1, 2, 3].filter((id) => tokenizer.isEnd(id))).toEqual([2]);
  });
});

interface Expected {
  readonly vocab: string;
  readonly merges: string;
  readonly config: object;
  readonly samples: readonly { readonly text: string; readonly ids: readonly number[]; readonly decoded: string }[];
}
const { tokenizers } = readJson('test/fixtures/models/tokens.json') as { tokenizers: Record<string, Expected> };

describe.each(Object.entries(tokenizers))(
  '%s, from vocab.json and merges.txt of ../shared/tokenizers',
  (name, expected) => {
    const folder = join(SHARED, name);
    test.skipIf(!existsSync(folder))('ids and text are those of transformers, in several languages', () => {
      const config = JSON.stringify(expected.config);
      const json = byteLevelTokenizer(text(folder, expected.vocab), text(folder, expected.merges), config);
      const tokenizer = openTokenizer(json, config, { vocabulary: 50272 });
      for (const sample of expected.samples) {
        expect(tokenizer.encode(sample.text, { special: true }), sample.text).toEqual(sample.ids);
        expect(tokenizer.decode(sample.ids), sample.text).toBe(sample.decoded);
      }
    });
  },
);

describe('refusals', () => {
  const small = byteLevelTokenizer('{"a":0,"b":1,"</s>":2}', '#version: 0.2\n', '{"eos_token":"</s>"}');

  test('ids that the model has no embedding for', () => {
    expect(() => openTokenizer(small, '{}', { vocabulary: 3 })).not.toThrow();
    expect(() => openTokenizer(small, '{}', { vocabulary: 2 })).toThrow(/TOKENIZER_MISMATCH.*up to 2.*knows 2/);
  });
  test('text that the tokenizer has no token for is refused or unknown, never undefined', () => {
    const tokenizer = openTokenizer(small, '{}', { vocabulary: 3 });
    expect(tokenizer.encode('ab', { special: false })).toEqual([0, 1]);
    expect(tokenizer.encode('', { special: true })).toEqual([]);
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.encode('azb', { special: false })).toEqual([0, 1]); // as Rust's BPE without an unknown token
  });
  test.each([
    ['not JSON', '{', '{}'],
    ['not an object', '[]', '{}'],
    ['no model', '{}', '{}'],
    ['unknown model', JSON.stringify({ ...JSON.parse(small), model: { type: 'Oracle' } }), '{}'],
    ['config not JSON', small, ''],
    ['config null', small, 'null'],
  ])('%s', (_, json, config) => {
    expect(() => openTokenizer(json, config, { vocabulary: 3 })).toThrow(/^TOKENIZER_MISMATCH: tokenizer/);
  });
  test('merges that are not pairs', () => {
    expect(() => byteLevelTokenizer('{"a":0}', 'a b c', '{}')).toThrow(/TOKENIZER_MISMATCH: merges.txt/);
  });
});
