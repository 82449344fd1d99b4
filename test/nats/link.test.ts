import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isNats, natsLink, parseNatsLink, parseStore } from '../../src/peer/link.ts';

const host = fc
  .tuple(fc.constantFrom('127.0.0.1', 'n1.example.org', 'localhost', '[::1]'), fc.integer({ min: 1, max: 65_535 }))
  .map(([name, port]) => `${name}:${port}`);
const hosts = fc.array(host, { minLength: 1, maxLength: 5 });

describe('links of NATS', () => {
  test('what is printed is what is read', () => {
    fc.assert(
      fc.property(
        hosts,
        fc.stringMatching(/^[0-9a-f]{12}$/),
        fc.stringMatching(/^[!-~]{1,40}$/),
        (servers, run, code) => {
          const link = natsLink({ servers }, run, code);
          expect(isNats(link)).toBe(true);
          expect(parseNatsLink(link)).toEqual({ servers, run, joinCode: code });
        },
      ),
    );
  });

  test('user and password come in front; the port of NATS where none is named', () => {
    expect(parseStore('nats://me:p%40ss@one,two:4223')).toEqual({
      ...{ servers: ['one:4222', 'two:4223'], user: 'me', password: 'p@ss' },
    });
  });

  test('a coordinator prints no password', () => {
    expect(natsLink(parseStore('nats://me:secret@one'), '0123456789ab', 'code')).toBe(
      'nats://one:4222/0123456789ab/code',
    );
  });

  test.each(['nats://', 'nats://a b', 'nats://one,', 'nats://one:x', 'nats://one/0123456789ab/code', 'http://one'])(
    'no store: %s',
    (text) => {
      expect(() => parseStore(text)).toThrow(/^CONFIG_INVALID: ".*" is no store; it looks like nats:/);
    },
  );

  test.each([
    'nats://one',
    'nats://one/0123/code',
    'nats://one/0123456789ab',
    'nats://one/0123456789ab/',
    'nats://one:99999/0123456789ab/c',
  ])('no link: %s', (text) => {
    expect(() => parseNatsLink(text)).toThrow(/^CONFIG_INVALID: ".*" is no join link; it looks like nats:/);
  });
});
