import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cachedTokens } from '../../src/data/node/token-cache.ts';

const TEXT = new TextEncoder().encode('once upon a time '.repeat(20_000));
const folder = (): Promise<string> => mkdtemp(join(tmpdir(), 'murmur-tokens-'));

/** Counts how often tokens are made. */
function maker() {
  const self = { made: 0, make: () => Int32Array.of(++self.made, 7, 1023) };
  return self;
}

test('a text is tokenised once; another tokenizer or another text is another matter', async () => {
  const cache = await folder();
  const { make } = maker();
  const first = await cachedTokens(cache, 'a', TEXT, make);
  expect(await cachedTokens(cache, 'a', TEXT, make)).toEqual(first);
  expect(await cachedTokens(cache, 'b', TEXT, make)).toEqual(Int32Array.of(2, 7, 1023));
  expect(await cachedTokens(cache, 'a', TEXT.subarray(1), make)).toEqual(Int32Array.of(3, 7, 1023));
  expect(await readdir(cache)).toHaveLength(3);
});

test('a damaged file is made anew', async () => {
  const cache = await folder();
  const { make } = maker();
  await cachedTokens(cache, 'a', TEXT, make);
  const path = join(cache, (await readdir(cache))[0]!);
  for (const damage of [(bytes: Buffer) => bytes.subarray(0, 20), (bytes: Buffer) => bytes.fill(1, 9, 10)]) {
    await writeFile(path, damage(await readFile(path)));
    const before = await cachedTokens(cache, 'a', TEXT, make);
    expect(await cachedTokens(cache, 'a', TEXT, make)).toEqual(before);
  }
});

test('short texts are not kept, and a folder that cannot be written is no error', async () => {
  const cache = await folder();
  const { make } = maker();
  await cachedTokens(cache, 'a', TEXT.subarray(0, 100), make);
  expect(await readdir(cache)).toEqual([]);
  expect(await cachedTokens(join('/dev/null', 'no'), 'a', TEXT, make)).toEqual(Int32Array.of(2, 7, 1023));
});
