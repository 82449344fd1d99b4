import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { journalMessage } from '../../src/journal/record.ts';
import { challengeMessage, contributionMessage, receiptMessage } from '../../src/wire/signed.ts';
import { bytes, codes, u32 } from '../journal/arbitraries.ts';

const hash = bytes(32);
const contribution = fc.tuple(hash, u32, hash, u32, codes);
const receipt = fc.tuple(hash, u32, hash, u32, u32, codes);
const challenge = fc.tuple(hash, hash, hash);

describe('what is signed', () => {
  test('changes with every field', () => {
    const differ = <T extends readonly unknown[]>(fields: fc.Arbitrary<T>, message: (...fields: T) => Uint8Array) =>
      fc.assert(
        fc.property(fields, fields, fc.nat(), (a, b, which) => {
          const at = which % a.length;
          fc.pre(String(a[at]) !== String(b[at]));
          const changed = a.with(at, b[at]) as unknown as T;
          expect(message(...changed)).not.toEqual(message(...a));
        }),
      );
    differ(contribution, contributionMessage);
    differ(receipt, receiptMessage);
    differ(challenge, challengeMessage);
  });

  test('of one kind is never the beginning of another, whatever the fields', () => {
    fc.assert(
      fc.property(contribution, receipt, challenge, hash, (a, b, c, h) => {
        const messages = [contributionMessage(...a), receiptMessage(...b), challengeMessage(...c), journalMessage(h)];
        const tags = messages.map((message) => String(message.subarray(0, message.indexOf(0) + 1)));
        expect(new Set(tags).size).toBe(4);
      }),
    );
  });

  test('fields of a wrong length are the caller’s mistake, by name', () => {
    const good = new Uint8Array(32);
    const short = new Uint8Array(31);
    expect(() => challengeMessage(short, good, good)).toThrow(/"nonce" expected 32 bytes, got 31/);
    expect(() => contributionMessage(good, 0, short, 0, new Int8Array(1))).toThrow(
      /"anchor" expected 32 bytes, got 31/,
    );
    expect(() => contributionMessage(good, 2 ** 32, good, 0, new Int8Array(1))).toThrow(/"round" expected an integer/);
  });
});
