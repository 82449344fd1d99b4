import { describe, expect, test } from 'vitest';
import { follow, type JournalState } from '../../src/journal/rules.ts';
import { type Entry, HOST_SLOT, SHARED_SLOT } from '../../src/nouns.ts';
import { bytesFrom, ENTRIES, MANIFEST } from './fixture.ts';

const stateAfter = (count: number) =>
  ENTRIES.slice(0, count).reduce<JournalState | null>((state, entry) => follow(state, entry, 'record'), null);
const refusal = (state: JournalState | null, entry: Entry): string => {
  try {
    follow(state, entry, 'record 9 at byte 99');
  } catch (error) {
    expect(error).toMatchObject({ name: 'Fault', code: 'JOURNAL_ORDER' });
    return (error as Error).message.replace('JOURNAL_ORDER: record 9 at byte 99 ', '');
  }
  return '';
};
const round = (number: number, ...segments: [slot: number, from: number, count: number][]): Entry => ({
  type: 'round',
  round: {
    header: { round: number, usable: 1, gain: 1, scale: 1, clip: 127 },
    segments: segments.map(([slot, from, count]) => ({ slot, from, codes: new Int8Array(count) })),
  },
});
const admit = (slot: number, first = 200): Entry => ({ type: 'admit', slot, key: bytesFrom(first, 32), name: 'x' });
const digest = (number: number): Entry => ({ type: 'digest', round: number, root: new Uint8Array(32) });
const standing = (number: number): Entry => ({ type: 'standing', round: number, hash: new Uint8Array(32) });
const evaluation = (number: number, slot: number): Entry => ({ type: 'evaluation', round: number, slot, metrics: {} });

describe('which record may follow which', () => {
  test('the manifest is first, and only first', () => {
    expect(refusal(null, admit(0))).toBe('is of type admit, but the first must be the manifest');
    expect(refusal(stateAfter(1), ENTRIES[0]!)).toBe('is a second manifest');
  });

  test('slots are given once, upwards, to keys that have none', () => {
    const state = stateAfter(3);
    expect(refusal(state, admit(2))).toBe('');
    expect(refusal(state, admit(7))).toBe('');
    expect(refusal(state, admit(1))).toBe('admits slot 1, which has been given before');
    expect(refusal(stateAfter(6), admit(0))).toBe('admits slot 0, which has been given before'); // evicted meanwhile
    expect(refusal(state, admit(2, 64))).toBe('admits a key that slot 1 already has');
    for (const slot of [HOST_SLOT, SHARED_SLOT]) {
      expect(refusal(state, admit(slot))).toBe(`admits slot ${slot}, which is reserved`);
    }
  });

  test('only who is admitted is evicted, once', () => {
    const evict = (slot: number): Entry => ({ type: 'evict', slot, reason: '' });
    expect(refusal(stateAfter(3), evict(1))).toBe('');
    expect(refusal(stateAfter(3), evict(2))).toBe('evicts slot 2, which is not admitted');
    expect(refusal(stateAfter(6), evict(0))).toBe('evicts slot 0, which is not admitted');
  });

  test('rounds count from 0 without gaps, up to max_steps', () => {
    expect(refusal(stateAfter(3), round(0))).toBe('');
    expect(refusal(stateAfter(3), round(1))).toBe('commits round 1 after 0 rounds');
    expect(refusal(stateAfter(7), round(1))).toBe('commits round 1 after 2 rounds');
    const manifest = { ...MANIFEST, max_steps: 2 };
    expect(refusal({ ...stateAfter(7)!, manifest }, round(2))).toBe('commits round 2 of a run of 2 rounds');
  });

  test('segments are of admitted slots, in order, apart, and inside the round', () => {
    const state = stateAfter(3);
    expect(refusal(state, round(0, [0, 0, 4], [1, 4, 4]))).toBe('');
    expect(refusal(state, round(0, [1, 2, 1], [0, 5, 1], [1, 6, 2]))).toBe('');
    expect(refusal(state, round(0, [2, 0, 1]))).toBe('holds codes of slot 2, which is not admitted');
    expect(refusal(stateAfter(6), round(1, [0, 0, 1]))).toBe('holds codes of slot 0, which is not admitted');
    expect(refusal(state, round(0, [0, 0, 0]))).toBe('holds no codes of slot 0');
    expect(refusal(state, round(0, [0, 4, 2], [1, 0, 2]))).toBe('holds records from 0 after records up to 6');
    expect(refusal(state, round(0, [0, 0, 4], [1, 3, 2]))).toBe('holds records from 3 after records up to 4');
    expect(refusal(state, round(0, [0, 0, 9]))).toBe('holds record 8 of a round of 8');
    expect(refusal(state, round(0, [0, 0xffff_ffff, 1]))).toBe('holds record 4294967295 of a round of 8');
  });

  test('evaluations and digests speak of rounds that are committed, by who is admitted', () => {
    const state = stateAfter(7);
    expect(refusal(state, digest(2))).toBe('');
    expect(refusal(state, digest(3))).toBe('is the digest of round 3 after 2 rounds');
    expect(refusal(state, standing(2))).toBe('');
    expect(refusal(state, standing(3))).toBe('is the standing of round 3 after 2 rounds');
    expect(refusal(state, evaluation(2, HOST_SLOT))).toBe('');
    expect(refusal(state, evaluation(0, 1))).toBe('');
    expect(refusal(state, evaluation(3, 1))).toBe('evaluates round 3 after 2 rounds');
    expect(refusal(state, evaluation(0, 0))).toBe('is by slot 0, which is not admitted');
  });

  test('only rounds that are there are revoked, of a slot that was admitted; only to earlier ones is rewound', () => {
    const revoke = (slot: number, from: number, to: number): Entry => ({ type: 'revoke', slot, from, to });
    const rewind = (number: number): Entry => ({ type: 'rewind', round: number });
    const state = stateAfter(7)!;
    for (const slot of [0, 1]) expect(refusal(state, revoke(slot, 0, 2)), 'evicted or not').toBe('');
    expect(refusal(state, revoke(2, 0, 2))).toBe('revokes slot 2, which was never admitted');
    expect(refusal(state, revoke(1, 1, 3))).toBe('revokes rounds up to 3 after 2 rounds');
    expect(refusal(state, revoke(1, 1, 1))).toBe('revokes no rounds: from 1 to 1');
    expect(follow(state, revoke(1, 0, 2), '')).toEqual(state);
    expect(refusal(state, rewind(2))).toBe('rewinds to round 2 after 2 rounds');
    const back = follow(state, rewind(1), '');
    expect(back).toEqual({ ...state, rounds: 1 });
    expect(refusal(back, round(1, [1, 0, 1]))).toBe('');
    expect(refusal(back, digest(2))).toBe('is the digest of round 2 after 1 rounds');
    expect(refusal(back, revoke(1, 0, 2))).toBe('revokes rounds up to 2 after 1 rounds');
  });

  test('a state is not changed by what follows it', () => {
    const state = stateAfter(3)!;
    const before = structuredClone(state);
    for (const entry of ENTRIES.slice(3, 6)) follow(state, entry, '');
    expect(state).toEqual(before);
  });
});
