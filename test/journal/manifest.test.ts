import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../../src/journal/canonical.ts';
import { decodeManifest, encodeManifest } from '../../src/journal/manifest.ts';
import type { Manifest } from '../../src/nouns.ts';
import { toHex } from '../../src/numeric/bytes.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { MANIFEST } from './fixture.ts';

const utf8 = (text: string) => new TextEncoder().encode(text);
const changed = (change: object) => decodeManifest(utf8(canonicalJson({ ...MANIFEST, ...change })));
const at = (path: string) => ({ train: { ...MANIFEST.data.train, path }, eval_fraction: 0.1 });

describe('the manifest', () => {
  test('is its canonical JSON, with and without the optional part', () => {
    expect(decodeManifest(encodeManifest(MANIFEST))).toEqual({ manifest: MANIFEST });
    const { eval: _, ...data } = MANIFEST.data;
    expect(decodeManifest(encodeManifest({ ...MANIFEST, data }))).toEqual({ manifest: { ...MANIFEST, data } });
    const masked = { ...MANIFEST, tensor_mask: { kept: 1, of: 4 } };
    expect(decodeManifest(encodeManifest(masked))).toEqual({ manifest: masked });
  });

  test('without a mask has the bytes, hence the run id, that it had before there were masks', () => {
    const id = toHex(nodeCrypto.sha256(encodeManifest(MANIFEST)));
    expect(id).toBe('da342aacb870e71cdd52fe87e2a72e83ad7b2849e07ecc596c6bd9f5bb4a8e3e');
    expect(new TextDecoder().decode(encodeManifest(MANIFEST))).not.toContain('mask');
  });

  test('may say which directions a run has, and what of the model they move', () => {
    const lazy: Manifest = {
      ...MANIFEST,
      direction: { kind: 'lowrank', rank: 2, scale: Math.SQRT1_2, lazy: 50 },
      directions: { shared: 5 },
      blocks_per_round: 2,
    };
    const sparse: Manifest = {
      ...MANIFEST,
      direction: { kind: 'binomial', rank: 1, scale: 0.5 },
      directions: { pool: 4096 },
      element_mask: { by: 'magnitude', kept: 1, of: 5 },
    };
    const voted: Manifest = {
      ...MANIFEST,
      directions: { shared: 4 },
      scalar_aggregation: { rule: 'nna', byzantine: 2 },
      records_per_round: 20,
    };
    const noised: Manifest = { ...MANIFEST, privacy: { noise_multiplier: 1, clip: 128, epochs: 1, delta: 1e-5 } };
    for (const manifest of [lazy, sparse, voted, noised])
      expect(decodeManifest(encodeManifest(manifest))).toEqual({ manifest });
  });

  test('may ask for bytes where directions are low-rank', () => {
    const direction = { kind: 'lowrank', rank: 2, scale: Math.SQRT1_2 } as const;
    const int8: Manifest = { ...MANIFEST, direction, forward_precision: 'int8' };
    expect(decodeManifest(encodeManifest(int8))).toEqual({ manifest: int8 });
  });

  test.each([
    ['missing', { seed: null }, /^seed: /],
    ['unknown', { sed: 1 }, /Unrecognized key: "sed"/],
    ['of another version', { numbers: 2 }, /^numbers: /],
    ['of another method', { method: 'twobyte' }, /^method: /],
    ['zero', { eps: 0 }, /^eps: /],
    ['negative', { learning_rate: -1 }, /^learning_rate: /],
    ['not whole', { max_steps: 1.5 }, /^max_steps: /],
    ['too many for a round', { records_per_round: 65_537 }, /^records_per_round: /],
    ['beyond a byte', { clip: 128 }, /^clip: /],
    ['a mask that keeps all', { tensor_mask: { kept: 4, of: 4 } }, /^tensor_mask: /],
    ['a mask that keeps nothing', { tensor_mask: { kept: 0, of: 4 } }, /^tensor_mask\.kept: /],
    ['a mask of too many parts', { tensor_mask: { kept: 1, of: 2 ** 20 + 1 } }, /^tensor_mask\.of: /],
    ['of a precision that is none', { forward_precision: 'f16' }, /^forward_precision: /],
    [
      'bytes where a direction is dense',
      { forward_precision: 'int8', direction: { kind: 'binomial', rank: 1, scale: 0.5 } },
      /^forward_precision: expected f32 with a dense direction/,
    ],
    [
      'columns that last where a direction has none',
      { direction: { kind: 'binomial', rank: 1, scale: 0.5, lazy: 50 } },
      /^direction\.lazy: expected none with a dense direction/,
    ],
    [
      'a mask of elements where rows and columns move',
      { direction: { kind: 'lowrank', rank: 1, scale: 1 }, element_mask: { by: 'random', kept: 1, of: 5 } },
      /^element_mask: expected none with a low-rank direction/,
    ],
    [
      'a rule over votes where nobody else measures a direction',
      { scalar_aggregation: { rule: 'median', byzantine: 1 } },
      /^scalar_aggregation: expected none without shared directions/,
    ],
    [
      'an optimizer that liars can slow',
      {
        ...{ directions: { shared: 1 }, scalar_aggregation: { rule: 'median', byzantine: 1 }, records_per_round: 9 },
        optimizer: { kind: 'normalised' },
      },
      /^optimizer: expected none, sign or momentum with scalar_aggregation/,
    ],
    [
      'fewer records than votes that outvote the liars',
      { directions: { shared: 4 }, scalar_aggregation: { rule: 'nna', byzantine: 2 }, records_per_round: 19 },
      /^records_per_round: expected more than twice the byzantine peers/,
    ],
    [
      'noise that is for slopes where there are none',
      { privacy: { noise_multiplier: 1, clip: 9, epochs: 1, delta: 1e-5 }, objective: 'accuracy' },
      /^privacy: expected none with exchange, an objective/,
    ],
    ['not a hash', { coordinator: 'AB'.repeat(32) }, /^coordinator: /],
    ['an empty base', { base: { name: 'x', files: [] } }, /^base\.files: /],
    ['everything held out', { data: { ...MANIFEST.data, eval_fraction: 1 } }, /^data\.eval_fraction: /],
    [
      'a sample of no rows',
      { data: { train: MANIFEST.data.train, eval_fraction: 0, sample: { per_class: 0, seed: 1 } } },
      /^data\.sample/,
    ],
    [
      'a sample of text',
      {
        task: { kind: 'lm', window: 4 },
        data: { train: MANIFEST.data.train, eval_fraction: 0, sample: { first: 2, seed: 1 } },
      },
      /^data\.sample: expected none with text/,
    ],
    ['one label', { task: { kind: 'choice', prompt: '', label_column: '', labels: [] } }, /^task/],
  ])('a key that is %s is refused by name', (_, change, message) => {
    expect(changed(change)).toEqual({ wrong: expect.stringMatching(message) });
    expect(() => encodeManifest({ ...MANIFEST, ...change } as Manifest)).toThrow(RangeError);
  });

  test.each(['/etc/passwd', '../x', 'a/../../x', 'a//b', './a', '', 'C:\\x', 'c:x', 'a\\b', 'a\0b', 'x'.repeat(256)])(
    'a path that leaves its folder is refused: %j',
    (path) => expect(changed({ data: at(path) })).toEqual({ wrong: expect.stringMatching(/^data\.train\.path: /) }),
  );

  test('paths of plain names are taken', () => {
    for (const path of ['a', 'a/b.c', 'model-00001-of-00002.safetensors', 'très bien/ü.txt', '..a']) {
      expect(changed({ data: at(path) }), path).toHaveProperty('manifest');
    }
  });

  test('other JSON for the same manifest is refused: the run id is its hash', () => {
    const json = canonicalJson(MANIFEST);
    const others = [`${json}\n`, ` ${json}`, json.replace('0.001', '1e-3'), json.replace('"clip"', '"\\u0063lip"')];
    const twice = json.replace('"clip":127', '"clip":1,"clip":127');
    for (const other of [...others, twice, JSON.stringify(MANIFEST)]) {
      expect(other).not.toBe(json);
      expect(decodeManifest(utf8(other))).toEqual({ wrong: 'is not canonical JSON (RFC 8785)' });
    }
  });

  test('what is not JSON, not UTF-8, or nested without end is refused', () => {
    expect(decodeManifest(utf8('{'))).toEqual({ wrong: 'is not JSON' });
    expect(decodeManifest(Uint8Array.of(0xff))).toEqual({ wrong: 'is not UTF-8' });
    const deep = '['.repeat(200_000) + ']'.repeat(200_000);
    expect(decodeManifest(utf8(deep))).toHaveProperty('wrong');
    expect(decodeManifest(utf8(`{"base":${deep}}`))).toHaveProperty('wrong');
  });
});
