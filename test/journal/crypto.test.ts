import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../src/numeric/bytes.ts';
import { crc32c } from '../../src/numeric/crc32c.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { webCrypto } from '../../src/peer/web/crypto.ts';

const IMPLEMENTATIONS = [
  ['node:crypto', nodeCrypto],
  ['JavaScript', webCrypto],
] as const;

const ascii = (text: string) => new TextEncoder().encode(text);

describe('CRC-32C', () => {
  test('check value, and the vectors of RFC 3720, B.4', () => {
    expect(crc32c(ascii('123456789'))).toBe(0xe306_9283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a91_36aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8_ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd_794e);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => 31 - i))).toBe(0x113f_db5c);
    expect(crc32c(new Uint8Array(0))).toBe(0);
  });
});

describe.each(IMPLEMENTATIONS)('SHA-256 by %s', (_, crypto) => {
  test('FIPS 180-4 examples, in one part or several', () => {
    const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    expect(toHex(crypto.sha256(ascii('abc')))).toBe(abc);
    expect(toHex(crypto.sha256(ascii('a'), ascii(''), ascii('bc')))).toBe(abc);
    const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    expect(toHex(crypto.sha256())).toBe(empty);
  });
});

describe.each(IMPLEMENTATIONS)('Ed25519 by %s', (_, crypto) => {
  // RFC 8032, 7.1: tests 1 to 3
  test.each([
    [
      '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    ],
    [
      '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    ],
    [
      'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
      'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
      'af82',
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    ],
  ])('RFC 8032 vector %#', (secret, key, message, signature) => {
    expect(toHex(crypto.publicKey(fromHex(secret)))).toBe(key);
    expect(toHex(crypto.sign(fromHex(secret), fromHex(message)))).toBe(signature);
    expect(crypto.verify(fromHex(key), fromHex(message), fromHex(signature))).toBe(true);
    expect(crypto.verify(fromHex(key), fromHex(`${message}00`), fromHex(signature))).toBe(false);
  });

  test('keys and signatures that are none verify nothing and throw nothing', () => {
    const message = ascii('m');
    for (const key of [new Uint8Array(32), new Uint8Array(32).fill(0xff)]) {
      expect(crypto.verify(key, message, new Uint8Array(64).fill(0xff))).toBe(false);
      expect(crypto.verify(key, message, new Uint8Array(63))).toBe(false);
    }
    expect(() => crypto.sign(new Uint8Array(31), message)).toThrow(/"secret" expected 32 bytes, got 31/);
  });
});
