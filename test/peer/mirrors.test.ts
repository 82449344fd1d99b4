/** Peers that share snapshots, as a host lists them: who may be listed, where, and to whom. */
import { describe, expect, test } from 'vitest';
import { toHex } from '../../src/numeric/bytes.ts';
import { openMirrors } from '../../src/peer/mirrors.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { mirrorMessage } from '../../src/wire/signed.ts';
import { encodeAnnouncement, MAX_MIRRORS } from '../../src/wire/snapshot-offer.ts';
import { secretOf } from './fake.ts';

const RUN = new Uint8Array(32).fill(7);
const keyOf = (n: number): Uint8Array => nodeCrypto.publicKey(secretOf(n));

function said(n: number, round: number, port: number, signed = { run: RUN, round, port, secret: secretOf(n) }): string {
  const signature = nodeCrypto.sign(signed.secret, mirrorMessage(signed.run, signed.round, signed.port));
  return toHex(encodeAnnouncement({ key: keyOf(n), round, port, signature }));
}

const withMembers = (...numbers: number[]) => {
  const members = new Set(numbers);
  return {
    members,
    mirrors: openMirrors(RUN, nodeCrypto, () => [...members].map((n) => ({ key: toHex(keyOf(n)) }))),
  };
};

describe('mirrors', () => {
  test('are listed by the address that they speak from, for the round that they named', () => {
    const { mirrors } = withMembers(0, 1);
    expect(mirrors.announce(said(0, 40, 7800), '192.168.1.5')).toBe(true);
    expect(mirrors.announce(said(1, 40, 80), '::ffff:192.168.1.6')).toBe(true);
    expect(mirrors.of(40, '10.0.0.1')).toEqual(['192.168.1.5:7800', '192.168.1.6:80']);
    expect(mirrors.of(20, '10.0.0.1')).toEqual([]);
    expect(mirrors.announce(said(0, 60, 7800), '2001:db8::5')).toBe(true);
    expect(mirrors.of(60, '10.0.0.1')).toEqual(['[2001:db8::5]:7800']);
    expect(mirrors.of(40, '10.0.0.1')).toEqual(['192.168.1.6:80']);
  });

  test('on a loopback address are for that machine alone', () => {
    const { mirrors } = withMembers(0);
    expect(mirrors.announce(said(0, 40, 7800), '127.0.0.1')).toBe(true);
    expect(mirrors.of(40, '192.168.1.9')).toEqual([]);
    expect(mirrors.of(40, '::ffff:127.0.0.1')).toEqual(['127.0.0.1:7800']);
  });

  test('are members, and say so themselves: nothing else is listed', () => {
    const { mirrors } = withMembers(0);
    const wrong: readonly (string | undefined)[] = [
      undefined,
      '',
      'zz',
      said(0, 40, 7800).slice(2),
      `${said(0, 40, 7800)}00`,
      said(1, 40, 7800), // no member
      said(0, 40, 0),
      said(0, 40, 7800, { run: new Uint8Array(32), round: 40, port: 7800, secret: secretOf(0) }),
      said(0, 40, 7800, { run: RUN, round: 41, port: 7800, secret: secretOf(0) }),
      said(0, 40, 7800, { run: RUN, round: 40, port: 7801, secret: secretOf(0) }),
      said(0, 40, 7800, { run: RUN, round: 40, port: 7800, secret: secretOf(1) }),
    ];
    for (const text of wrong) expect(mirrors.announce(text, '10.0.0.2')).toBe(false);
    expect(mirrors.of(40, '10.0.0.1')).toEqual([]);
  });

  test('go with their membership, and are no more than a line has use for', () => {
    const numbers = Array.from({ length: MAX_MIRRORS + 4 }, (_, n) => n);
    const { mirrors, members } = withMembers(...numbers);
    for (const n of numbers) expect(mirrors.announce(said(n, 40, 7000 + n), '10.0.0.2')).toBe(true);
    expect(mirrors.of(40, '10.0.0.1')).toHaveLength(MAX_MIRRORS);
    members.clear();
    members.add(3);
    expect(mirrors.of(40, '10.0.0.1')).toEqual(['10.0.0.2:7003']);
  });
});
