/** Audits in a journal: where they may stand, what they bind the round to, and their bytes. */
import { describe, expect, test } from 'vitest';
import { entryCodec } from '../../src/journal/entries.ts';
import { follow, type JournalState } from '../../src/journal/rules.ts';
import type { AuditClaim, Entry, Segment } from '../../src/nouns.ts';
import { fromHex, toHex } from '../../src/numeric/bytes.ts';
import { decode, encode } from '../../src/numeric/codec.ts';
import { bytesFrom, MANIFEST } from './fixture.ts';

const admit = (slot: number): Entry => ({ type: 'admit', slot, key: bytesFrom(32 * slot, 32), name: `peer ${slot}` });
const claim = (slot: number, ...codes: readonly number[]): AuditClaim => ({ slot, codes: Int8Array.from(codes) });
const audit = (from: number, ...claims: readonly AuditClaim[]): Entry => ({
  type: 'audit',
  audit: { round: 0, from, claims },
});
const segment = (slot: number, from: number, ...codes: readonly number[]): Segment => ({
  ...{ slot, from },
  codes: Int8Array.from(codes),
});
const round = (...segments: readonly Segment[]): Entry => ({
  type: 'round',
  round: { header: { round: 0, usable: 1, gain: 1, scale: 1, clip: 127 }, segments },
});

const stateOf = (...entries: readonly Entry[]): JournalState =>
  [{ type: 'manifest', manifest: { ...MANIFEST, records_per_round: 8 } } as const, admit(0), admit(1), admit(2)]
    .concat(entries as never)
    .reduce<JournalState | null>((state, entry) => follow(state, entry, 'record'), null)!;
const refusal = (state: JournalState, entry: Entry): string => {
  try {
    follow(state, entry, 'record 9');
  } catch (error) {
    expect(error).toMatchObject({ name: 'Fault', code: 'JOURNAL_ORDER' });
    return (error as Error).message.replace('JOURNAL_ORDER: record 9 ', '');
  }
  return '';
};

const THREE = audit(2, claim(0, 9, -9), claim(1, 90, 90), claim(2, 8, -9));

describe('an audit', () => {
  test('binds the round after it to the codes that the rule gives', () => {
    const state = stateOf(THREE);
    expect(refusal(state, round(segment(0, 2, 9, -9)))).toBe('');
    const wrong = 'holds other codes of records from 2 than the audit before it gives, those of slot 0';
    expect(refusal(state, round(segment(1, 2, 90, 90)))).toBe(wrong);
    expect(refusal(state, round(segment(0, 2, 9)))).toBe(wrong);
    expect(refusal(state, round(segment(0, 3, 9, -9)))).toBe(wrong);
    expect(refusal(state, round(segment(1, 6, 1)))).toBe(wrong);
  });

  test('binds no later round', () => {
    const next: Entry = {
      type: 'round',
      round: { header: { round: 1, usable: 1, gain: 1, scale: 1, clip: 127 }, segments: [] },
    };
    expect(refusal(stateOf(THREE, round(segment(0, 2, 9, -9))), next)).toBe('');
  });

  test.each([
    ['evict', { type: 'evict', slot: 2, reason: 'late' }],
    ['revoke', { type: 'revoke', slot: 2, from: 0, to: 1 }],
    ['rewind', { type: 'rewind', round: 0 }],
  ] as const satisfies readonly (readonly [string, Entry])[])(
    'is void after an entry of type %s: the round is measured anew',
    (_, entry) => {
      const first = round(segment(0, 0, 1));
      const later: Entry = {
        type: 'audit',
        audit: { round: 1, from: 2, claims: [claim(0, 9), claim(1, 90), claim(2, 8)] },
      };
      const state = stateOf(first, later);
      const next = (number: number): Entry => ({
        type: 'round',
        round: { header: { round: number, usable: 1, gain: 1, scale: 1, clip: 127 }, segments: [segment(1, 2, 90)] },
      });
      expect(refusal(state, next(1))).toMatch(/^holds other codes of records from 2 /);
      const after = follow(state, entry, 'record');
      expect(refusal(after, next(after.rounds))).toBe('');
    },
  );

  test('may be said again, by a host that died before the round: the later one counts', () => {
    const state = stateOf(audit(2, claim(0, 1), claim(1, 2)), THREE);
    expect(refusal(state, round(segment(0, 2, 9, -9)))).toBe('');
  });

  test.each([
    ['of one peer', audit(2, claim(0, 1)), 'audits records of 1 peers'],
    ['of a stranger', audit(2, claim(0, 1), claim(7, 1)), 'holds a claim of slot 7, which is not admitted'],
    ['out of order', audit(2, claim(1, 1), claim(0, 1)), 'holds a claim of slot 0 after one of slot 1'],
    ['of one peer twice', audit(2, claim(1, 1), claim(1, 1)), 'holds a claim of slot 1 after one of slot 1'],
    ['beyond the round', audit(7, claim(0, 1), claim(1, 1, 1)), 'audits records beyond a round of 8'],
    [
      'of another round',
      { type: 'audit', audit: { round: 1, from: 0, claims: [claim(0, 1), claim(1, 1)] } } satisfies Entry,
      'audits round 1 after 0 rounds',
    ],
  ])('%s is refused', (_, entry, message) => {
    expect(refusal(stateOf(), entry)).toBe(message);
  });

  test('has these bytes', () => {
    const bytes = '0a 00 02 03 00 02 09f7 01 02 5a5a 02 02 08f7'.replaceAll(' ', '');
    expect(toHex(encode(entryCodec, THREE, 'entry'))).toBe(bytes);
    expect(decode(entryCodec, fromHex(bytes), 'record', 'JOURNAL_CORRUPT', 0)).toEqual(THREE);
  });
});
