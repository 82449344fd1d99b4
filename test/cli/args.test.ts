import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { COMMON, parseArgv } from '../../src/cli/args.ts';
import { propertiesOf, runFile } from '../../src/cli/keys.ts';
import { closest, distance } from '../../src/cli/suggest.ts';

const properties = { ...COMMON, ...propertiesOf(runFile) };
const parse = (...argv: string[]) => parseArgv(argv, properties);

describe('flags', () => {
  test.each([
    [['run.yaml', '--eps', '1e-3', '--json'], { eps: 1e-3, json: true }],
    [['--learning-rate=2', 'run.yaml'], { learning_rate: 2 }],
    [['run.yaml', '--seed', '1', '--seed', '2'], { seed: 2 }],
    [['run.yaml', '--eps', '-1'], { eps: -1 }],
    [['run.yaml', '--eps', 'small'], { eps: 'small' }],
    [['run.yaml', '--eps='], { eps: '' }],
    [['run.yaml', '--json=false'], { json: false }],
    [['--guard', 'false', 'run.yaml'], { guard: false }],
    [['--guard', 'true', 'run.yaml'], { guard: true }],
    [['--guard', 'run.yaml'], { guard: true }],
    [['run.yaml', '--guard'], { guard: true }],
    [['run.yaml', '--labels', '0= terrible, 1= great'], { labels: { '0': ' terrible', '1': ' great' } }],
    [['run.yaml', '--labels', 'a=b=c'], { labels: { a: 'b=c' } }],
    [['run.yaml', '--labels', 'great'], { labels: 'great' }],
    [['run.yaml', '--prompt', '{text} It was'], { prompt: '{text} It was' }],
    [['run.yaml', '--prompt=--odd'], { prompt: '--odd' }],
    [['-h', 'run.yaml'], { help: true }],
  ])('%j', (argv, flags) => {
    expect(parse(...argv)).toEqual({ words: ['run.yaml'], flags });
  });

  test('after -- everything is a word', () => {
    expect(parse('--eps', '1', '--', '--eps', '-h')).toEqual({ words: ['--eps', '-h'], flags: { eps: 1 } });
  });

  test.each([
    [['--learning_rat', '1'], 'CONFIG_INVALID: --learning_rat: unknown; did you mean "--learning_rate"?'],
    [['--lr', '1'], 'CONFIG_INVALID: --lr: unknown; "murmur schema" lists the keys'],
    [['-eps', '1'], 'CONFIG_INVALID: -eps: unknown; did you mean "--eps"?'],
    [['--constructor', '1'], 'CONFIG_INVALID: --constructor: unknown; "murmur schema" lists the keys'],
    [['--eps'], 'CONFIG_INVALID: --eps: needs a value; write --eps=… if it starts with --'],
    [['--eps', '--json'], 'CONFIG_INVALID: --eps: needs a value; write --eps=… if it starts with --'],
  ])('%j is refused', (argv, message) => {
    expect(() => parse(...argv)).toThrow(message);
  });
});

describe('suggestions', () => {
  test('the distance is a metric on words', () => {
    const word = fc.string({ maxLength: 8 });
    fc.assert(
      fc.property(word, word, (a, b) => distance(a, b) === distance(b, a) && (distance(a, b) === 0) === (a === b)),
    );
    expect([distance('kitten', 'sitting'), distance('eval', 'eavl'), distance('', 'abc')]).toEqual([3, 1, 3]);
  });

  test.each([
    ['batch_size', 'per_device_train_batch_size'],
    ['output', 'output_dir'],
    ['max_step', 'max_steps'],
    ['Model', 'model'],
    ['zebra', undefined],
  ])('%s → %s', (word, expected) => {
    expect(closest(word, Object.keys(properties))).toBe(expected);
  });
});
