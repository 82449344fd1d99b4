/** Merges in a journal: where they may stand, and their bytes. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { entryCodec } from '../../src/journal/entries.ts';
import { decodeManifest, encodeManifest } from '../../src/journal/manifest.ts';
import { follow, type JournalState } from '../../src/journal/rules.ts';
import { type Entry, type Exchange, MAX_CHUNKS, type Manifest, type Merge } from '../../src/nouns.ts';
import { decode, encode } from '../../src/numeric/codec.ts';
import { merge as anyMerge, exchange } from './arbitraries.ts';
import { bytesFrom, MANIFEST } from './fixture.ts';

const EXCHANGE: Exchange = {
  kind: 'diloco',
  optim: { kind: 'adamw', beta1: 0.9, beta2: 0.95, epsilon: 1e-8 },
  ...{ weight_decay: 0.1, max_grad_norm: 1, per_device_train_batch_size: 8, gradient_accumulation_steps: 2 },
  ...{ steps: 16, outer_learning_rate: 0.7, outer_momentum: 0.9, format: 'e3m0' },
  ...{ fragments: 2, overlap: 3, mixing: 0.5, data_parts: 4, dropped: 0.25 },
};
const RUN: Manifest = { ...MANIFEST, method: 'exchange', exchange: EXCHANGE, max_steps: 3 };

const admit = (slot: number): Entry => ({ type: 'admit', slot, key: bytesFrom(32 * slot, 32), name: `peer ${slot}` });
const evict = (slot: number): Entry => ({ type: 'evict', slot, reason: 'SHARE_INVALID' });
const merge = (round: number, ...shares: readonly (readonly [slot: number, count: number])[]): Entry => ({
  type: 'merge',
  merge: {
    round,
    shares: shares.map(([slot, count]) => ({ slot, from: 0, count, digest: bytesFrom(slot, 32) })),
    chunks: [bytesFrom(7, 32)],
  },
});
const bytesRound: Entry = {
  type: 'round',
  round: {
    header: { round: 0, usable: 1, gain: 1, scale: 1, clip: 127 },
    segments: [{ slot: 0, from: 0, codes: Int8Array.of(1) }],
  },
};

const stateOf = (manifest: Manifest, ...entries: readonly Entry[]): JournalState =>
  [{ type: 'manifest', manifest } as const, admit(0), admit(1), admit(2), ...entries].reduce<JournalState | null>(
    (state, entry) => follow(state, entry, 'record'),
    null,
  )!;
const refusal = (state: JournalState | null, entry: Entry): string => {
  try {
    follow(state, entry, 'record 9');
  } catch (error) {
    expect(error).toMatchObject({ name: 'Fault', code: 'JOURNAL_ORDER' });
    return (error as Error).message.replace('JOURNAL_ORDER: record 9 ', '');
  }
  return '';
};

describe('a merge may stand', () => {
  test('where its round is the next one of the run', () => {
    expect(refusal(stateOf(RUN), merge(0, [0, 16]))).toBe('');
    expect(refusal(stateOf(RUN), merge(1, [0, 16]))).toBe('merges round 1 after 0 rounds');
    const after = stateOf(RUN, merge(0, [0, 1]), merge(1, [2, 16]));
    expect(after.rounds).toBe(2);
    expect(refusal(after, merge(1, [0, 16]))).toBe('merges round 1 after 2 rounds');
    expect(refusal(after, merge(2, [0, 16]))).toBe('');
    expect(refusal(stateOf(RUN, merge(0, [0, 1]), merge(1, [0, 1]), merge(2, [0, 1])), merge(3, [0, 16]))).toBe(
      'merges round 3 of a run of 3 rounds',
    );
  });

  test('where it has shares, of admitted slots, each once and upwards', () => {
    expect(refusal(stateOf(RUN), merge(0))).toBe('merges no shares');
    expect(refusal(stateOf(RUN), merge(0, [0, 1], [1, 16], [2, 3]))).toBe('');
    expect(refusal(stateOf(RUN), merge(0, [0, 1], [3, 1]))).toBe('holds a share of slot 3, which is not admitted');
    expect(refusal(stateOf(RUN, evict(1)), merge(0, [0, 1], [1, 1]))).toBe(
      'holds a share of slot 1, which is not admitted',
    );
    expect(refusal(stateOf(RUN), merge(0, [1, 1], [0, 1]))).toBe('holds a share of slot 0 after one of slot 1');
    expect(refusal(stateOf(RUN), merge(0, [1, 1], [1, 1]))).toBe('holds a share of slot 1 after one of slot 1');
  });

  test('where every share is of some steps and no more than a round has', () => {
    expect(refusal(stateOf(RUN), merge(0, [0, 17]))).toBe('holds a share of 17 steps of 16');
    expect(refusal(stateOf(RUN), merge(0, [0, 16], [1, 0]))).toBe('holds a share of 0 steps of 16');
  });

  test('in a run that exchanges vectors, which has no bytes; a run of bytes has no merges', () => {
    expect(refusal(stateOf(MANIFEST), merge(0, [0, 1]))).toBe('merges vectors in a run that exchanges bytes');
    expect(refusal(stateOf(MANIFEST), bytesRound)).toBe('');
    expect(refusal(stateOf(RUN), bytesRound)).toBe('commits bytes in a run that exchanges vectors');
    expect(refusal(null, merge(0, [0, 1]))).toBe('is of type merge, but the first must be the manifest');
  });

  test('and evaluations and digests count the rounds that it commits', () => {
    const state = stateOf(RUN, merge(0, [0, 1]));
    expect(refusal(state, { type: 'digest', round: 1, root: new Uint8Array(32) })).toBe('');
    expect(refusal(state, { type: 'digest', round: 2, root: new Uint8Array(32) })).toBe(
      'is the digest of round 2 after 1 rounds',
    );
    expect(refusal(state, { type: 'evaluation', round: 1, slot: 0, metrics: {} })).toBe('');
  });
});

describe('a merge ⇄ bytes', () => {
  const write = (value: Entry): Uint8Array => encode(entryCodec, value, 'entry');
  const read = (bytes: Uint8Array): Entry => decode(entryCodec, bytes, 'entry', 'JOURNAL_CORRUPT');

  test('are those of docs/WIRE.md', () => {
    const [digest, chunk] = [bytesFrom(1, 32), bytesFrom(101, 32)];
    const value: Merge = { round: 300, shares: [{ slot: 2, from: 0, count: 16, digest }], chunks: [chunk] };
    expect([...write({ type: 'merge', merge: value })]).toEqual([
      ...[7, 0xac, 0x02], // type, round
      ...[1, 2, 0, 16, ...digest], // one share
      ...[1, ...chunk],
    ]);
  });

  test('decode undoes encode', () => {
    fc.assert(
      fc.property(anyMerge, (value) => {
        expect(read(write({ type: 'merge', merge: value }))).toEqual({ type: 'merge', merge: value });
      }),
    );
  });

  test('every truncation and every byte too many is refused', () => {
    const bytes = write(merge(5, [0, 1], [300, 16]));
    const corrupt = expect.objectContaining({ code: 'JOURNAL_CORRUPT' });
    for (let length = 1; length < bytes.length; length++)
      expect(() => read(bytes.subarray(0, length)), String(length)).toThrow(corrupt);
    expect(() => read(Uint8Array.of(...bytes, 0))).toThrow(corrupt);
  });

  test('as many shares and chunks as docs/WIRE.md allows, and no more', () => {
    const of = (shares: number, chunks: number): Entry => ({
      type: 'merge',
      merge: {
        round: 0,
        shares: Array.from({ length: shares }, (_, slot) => ({ slot, from: 0, count: 1, digest: new Uint8Array(32) })),
        chunks: Array.from({ length: chunks }, () => new Uint8Array(32)),
      },
    });
    expect(read(write(of(1024, 2047)))).toEqual(of(1024, 2047));
    expect(MAX_CHUNKS).toBe(2047);
    expect(() => write(of(1025, 1))).toThrow(RangeError);
    expect(() => write(of(1, 2048))).toThrow(RangeError);
    expect(() => write({ type: 'merge', merge: { round: 0, shares: [], chunks: [new Uint8Array(31)] } })).toThrow(
      /expected 32 bytes, got 31/,
    );
  });
});

describe('the manifest of an exchange', () => {
  const back = (manifest: unknown) => decodeManifest(encodeManifest(manifest as Manifest));
  const wrong = (keys: object): string => {
    try {
      encodeManifest({ ...RUN, ...keys } as Manifest);
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError);
      return (error as Error).message;
    }
    return '';
  };
  const wrongIn = (keys: object): string => wrong({ exchange: { ...EXCHANGE, ...keys } });

  test('is what was written', () => {
    fc.assert(
      fc.property(exchange, (value) => {
        const manifest = { ...RUN, exchange: value };
        expect(back(manifest)).toEqual({ manifest });
      }),
    );
  });

  test('has method exchange and the keys of one, or neither', () => {
    expect(wrong({ method: 'onebyte' })).toMatch(/"manifest" is not one: exchange: expected with method exchange/);
    const { exchange: _, ...without } = RUN;
    expect(() => encodeManifest(without)).toThrow(/"manifest" is not one: exchange: expected with method exchange/);
    expect(() => encodeManifest({ ...without, method: 'onebyte' })).not.toThrow();
    expect(wrong({})).toBe('');
  });

  test.each([
    ['kind', 'gossip'],
    ['optim', { kind: 'sgd', momentum: 1 }],
    ['optim', { kind: 'adamw', beta1: 0.9, beta2: 1, epsilon: 1e-8 }],
    ['optim', { kind: 'adamw', beta1: 0.9, beta2: 0.9, epsilon: 0 }],
    ['weight_decay', 1.5],
    ['max_grad_norm', -1],
    ['per_device_train_batch_size', 0],
    ['gradient_accumulation_steps', 0],
    ['steps', 0],
    ['outer_learning_rate', 0],
    ['outer_momentum', 1],
    ['format', 'bf16'],
    ['fragments', 0],
    ['fragments', 1001],
    ['overlap', -1],
    ['mixing', 1.1],
    ['data_parts', 0],
    ['dropped', 1],
    ['shards', 1],
  ])('with %s %j is refused by key', (key, value) => {
    expect(wrongIn({ [key]: value })).toMatch(/"manifest" is not one: exchange/);
  });
});
