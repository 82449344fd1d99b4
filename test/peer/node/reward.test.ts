import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blobRef } from '../../../src/peer/node/blobs.ts';
import { loadReward, rewardPath } from '../../../src/peer/node/reward.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'murmur-reward-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function module(name: string, source: string) {
  const path = join(folder, name);
  await writeFile(path, source);
  return { path, blob: await blobRef(path, name) };
}

const SAMPLE = { prompt: 'a', completion: 'eee', row: { weight: 2 } };
const TYPED = `interface Sample { completion: string; row: Record<string, unknown> }
export default async ({ completion, row }: Sample): Promise<number> => completion.length * (row['weight'] as number);`;

describe('loadReward', () => {
  test('runs TypeScript and JavaScript, and what Node has built in', async () => {
    const typed = await module('typed.ts', TYPED);
    expect(await (await loadReward(typed.path, typed.blob))(SAMPLE)).toBe(6);
    const source = "import { basename } from 'node:path';\nexport default (s) => basename('x/' + s.completion).length;";
    const plain = await module('plain.js', source);
    expect(await (await loadReward(plain.path, plain.blob))(SAMPLE)).toBe(3);
  });

  test.each([
    ['not a program', 'export default (', /^REWARD_FAILED: bad\.ts cannot be loaded: /],
    ['no function', 'export default 3;', 'REWARD_FAILED: bad.ts must export a function by default'],
    ['a file beside it', "import './other.ts'; export default () => 1;", /^REWARD_FAILED: bad\.ts cannot be loaded: /],
  ])('%s is refused', async (_, source, message) => {
    const { path, blob } = await module('bad.ts', source);
    await expect(loadReward(path, blob)).rejects.toThrow(message);
  });

  test('what it throws, and what is no number, has a code', async () => {
    const { path, blob } = await module('throws.js', 'export default ({ completion }) => completion.missing.length;');
    await expect((await loadReward(path, blob))(SAMPLE)).rejects.toThrow(/^REWARD_FAILED: throws\.js throws: /);
    const text = await module('text.js', "export default () => '1';");
    await expect((await loadReward(text.path, text.blob))(SAMPLE)).rejects.toThrow(/must give a number, gave string/);
  });

  test('a file that is not the one of the manifest is not run', async () => {
    const { path, blob } = await module('first.js', 'export default () => 1;');
    await writeFile(path, 'throw new TypeError("it ran");');
    await expect(loadReward(path, blob)).rejects.toThrow(/^BLOB_MISMATCH/);
  });
});

describe('rewardPath', () => {
  test('is the copy that was named, if it has the hash; nothing is taken from elsewhere', async () => {
    const { path, blob } = await module('mine.js', 'export default () => 1;');
    const other = await module('other.js', 'export default () => 2;');
    const manifest = { objective: { reward: blob } };
    expect(await rewardPath(manifest, path)).toEqual({ [blob.sha256]: path });
    expect(await rewardPath(manifest, undefined, { [blob.sha256]: path })).toEqual({ [blob.sha256]: path });
    await expect(rewardPath(manifest, other.path)).rejects.toThrow(/^BLOB_MISMATCH: .*other\.js is not the mine\.js/);
    await expect(rewardPath(manifest, undefined)).rejects.toThrow(/^FILE_MISSING: .*--reward/);
    await expect(rewardPath(manifest, join(folder, 'none.js'))).rejects.toThrow(/^FILE_MISSING/);
    expect(await rewardPath({}, undefined)).toEqual({});
    await expect(rewardPath({ objective: 'accuracy' }, path)).rejects.toThrow(/^CONFIG_INVALID: --reward/);
  });
});
