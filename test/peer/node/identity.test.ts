import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { freeIdentity, readSecret, secretOf } from '../../../src/peer/node/identity.ts';
import { scratchFolder } from './folder.ts';

describe('a key file', () => {
  test('is made once, for its owner only; the same file is the same peer', async () => {
    const path = join(scratchFolder(), 'new', 'folder', 'peer.key');
    expect(await readSecret(path)).toBeUndefined();
    const secret = await secretOf(path);
    expect(secret).toHaveLength(32);
    expect(await secretOf(path)).toEqual(secret);
    expect(await readSecret(path)).toEqual(secret);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, 'utf8')).toMatch(/^[0-9a-f]{64}\n$/);
    expect(await readdir(join(path, '..'))).toEqual(['peer.key']);
  });

  test('two files are two peers', async () => {
    const folder = scratchFolder();
    expect(await secretOf(join(folder, 'a'))).not.toEqual(await secretOf(join(folder, 'b')));
  });

  test.each([
    ['nothing', ''],
    ['words', 'correct horse battery staple\n'],
    ['too few digits', 'ab'.repeat(31)],
    ['too many digits', 'ab'.repeat(33)],
    ['capitals', 'AB'.repeat(32)],
    ['two keys', `${'ab'.repeat(32)}\n${'cd'.repeat(32)}\n`],
  ])('that holds %s is refused and left alone', async (_, text) => {
    const path = join(scratchFolder(), 'peer.key');
    await writeFile(path, text);
    await expect(secretOf(path)).rejects.toThrow(/^FILE_MISSING: .*peer\.key is no key of Murmur/);
    expect(await readFile(path, 'utf8')).toBe(text);
  });

  test.skipIf(process.platform === 'win32')(
    'that others can read is refused by what to do, and left alone',
    async () => {
      const path = join(scratchFolder(), 'peer.key');
      const secret = await secretOf(path);
      for (const mode of [0o644, 0o640, 0o604]) {
        await chmod(path, mode);
        await expect(secretOf(path)).rejects.toThrow(/^FILE_REFUSED: .*peer\.key is a key that others .* "chmod 600 /);
      }
      await chmod(path, 0o400);
      expect(await secretOf(path)).toEqual(secret);
    },
  );

  test.skipIf(process.platform === 'win32')('is private also where a crash has left a draft that is not', async () => {
    const path = join(scratchFolder(), 'peer.key');
    await writeFile(join(path, '..', '.peer.key.part'), 'half', { mode: 0o644 });
    await secretOf(path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test('that cannot be read is refused, not replaced', async () => {
    const path = join(scratchFolder(), 'peer.key');
    await mkdir(path);
    await expect(secretOf(path)).rejects.toThrow(/^FILE_REFUSED: /);
    expect((await stat(path)).isDirectory()).toBe(true);
  });

  test.skipIf(process.getuid?.() === 0)('without permission to read is refused (not as root)', async () => {
    const path = join(scratchFolder(), 'peer.key');
    await secretOf(path);
    await chmod(path, 0);
    await expect(secretOf(path)).rejects.toThrow(/^FILE_REFUSED/);
  });
});

describe('freeIdentity', () => {
  test('gives each of several users a key of its own, and the first one back to the next', async () => {
    const folder = scratchFolder();
    const first = await freeIdentity(folder);
    const second = await freeIdentity(folder);
    expect(second.secret).not.toEqual(first.secret);
    expect((await readdir(folder)).filter((name) => name.endsWith('.key')).sort()).toEqual(['peer-2.key', 'peer.key']);
    await first.release();
    const again = await freeIdentity(folder);
    expect(again.secret).toEqual(first.secret);
    await Promise.all([again.release(), second.release()]);
    expect((await readdir(folder)).filter((name) => name.endsWith('.lock'))).toEqual([]);
  });
});
