import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { openJournal } from '../../src/journal/journal.ts';
import { controlLink, writeControl } from '../../src/peer/node/control.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { INVITES_FILE, openAdmission } from '../../src/peer/node/invites.ts';
import { openFileStore } from '../../src/peer/node/store.ts';
import { MANIFEST, SECRET } from '../journal/fixture.ts';
import { capture, lines } from './capture.ts';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'murmur-'));
  const journal = await openJournal(await openFileStore(join(folder, 'journal.murmur')), nodeCrypto, SECRET);
  await journal.append({ type: 'manifest', manifest: MANIFEST });
  await journal.close();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function murmur(...argv: readonly string[]) {
  const streams = capture({ env: { XDG_CACHE_HOME: join(folder, 'cache') } });
  const code = await main([...argv, '--json'], streams);
  const said = lines(streams.out());
  return { code, lines: said, done: said.at(-1)!, wrong: streams.err() };
}

describe('murmur invite', () => {
  test('makes a link whose code lets in, with its limits, and withdraws it', async () => {
    const addresses = ['ws://192.0.2.7:7777'];
    const remove = await writeControl(folder, { link: controlLink(addresses[0]!, 'code'), addresses });
    const { done, lines: said } = await murmur(
      'invite',
      folder,
      '--name',
      'alice',
      '--max_share',
      '0.25',
      '--uses',
      '1',
    );
    const code = String(done['code']);
    expect(said[0]).toMatchObject({ event: 'link', link: `http://192.0.2.7:7777/join/${code}` });
    if (process.platform !== 'win32') expect(statSync(join(folder, INVITES_FILE)).mode & 0o777).toBe(0o600);
    const door = openAdmission({ folder, policy: 'invite', joinCode: 'main code' });
    expect(door.check(code, new Uint8Array(32))).toMatchObject({ name: 'alice', maxShare: 0.25, uses: 1 });
    expect((await murmur('invite', folder)).done).toMatchObject({ invites: 1 });
    expect((await murmur('invite', folder, '--revoke', 'alice')).done).toMatchObject({ withdrawn: 'alice' });
    expect(() => door.check(code, new Uint8Array(32))).toThrow(/^INVITE_WITHDRAWN/);
    await remove();
  });

  test.each<[string, string[], RegExp]>([
    ['a name that is taken', ['--name', 'alice'], /there is an invite "alice" already/],
    ['a name that is kept', ['--name', 'main'], /there is an invite "main" already/],
    ['a part of no record', ['--name', 'bob', '--max_share', '0.01'], /less than one of the 8 records/],
    ['a part of nothing', ['--name', 'bob', '--max_share', '0'], /max_share/],
    ['an invite that is not there', ['--revoke', 'carol'], /there is no invite "carol"/],
    ['two commands', ['--name', 'bob', '--revoke', 'alice'], /give one of them/],
  ])('refuses %s', async (_, flags, words) => {
    const { code, wrong } = await murmur('invite', folder, ...flags);
    expect(code).toBe(2);
    expect(wrong).toMatch(words);
  });

  test('refuses a folder without a run', async () => {
    expect((await murmur('invite', join(folder, 'none'), '--name', 'x')).wrong).toMatch(/^murmur: FILE_MISSING/);
  });
});

test('murmur key prints the key that a peer of this machine proves, the same each time', async () => {
  const [first, again] = [await murmur('key'), await murmur('key')];
  expect(first.done['key']).toMatch(/^[0-9a-f]{64}$/);
  expect(again.done['key']).toBe(first.done['key']);
});
