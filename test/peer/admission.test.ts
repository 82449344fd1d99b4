import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Fault } from '../../src/faults.ts';
import { toHex } from '../../src/numeric/bytes.ts';
import { toUtf8 } from '../../src/numeric/text.ts';
import { type Invite, keysOf } from '../../src/peer/admission.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { GUESTS_FILE, INVITES_FILE, openAdmission, readInvites, writeInvites } from '../../src/peer/node/invites.ts';
import { fakeCrypto, MANIFEST, secretOf } from './fake.ts';
import { settledFlag, swarm } from './swarm.ts';

const MAIN = 'open sesame';
const key = (number: number): Uint8Array => fakeCrypto.publicKey(secretOf(number));
const invite = (name: string, more: Partial<Invite> = {}): Invite => ({
  ...{ name, hash: toHex(nodeCrypto.sha256(toUtf8(`code of ${name}`))), maxShare: 1, withdrawn: false },
  ...more,
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'murmur-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const open = (options: Partial<Parameters<typeof openAdmission>[0]> = {}) =>
  openAdmission({ folder, policy: 'invite', joinCode: MAIN, ...options });
/** The code of a refusal. */
const refusal = (act: () => unknown): string | undefined => {
  try {
    act();
  } catch (error) {
    return (error as Fault).code;
  }
  return undefined;
};

describe('invites', () => {
  test('are good as soon as they are written, each with its own name and part; wrong codes are not', async () => {
    const door = open();
    expect(door.enter(MAIN, key(1))).toMatchObject({ name: 'main', maxShare: 1 });
    expect(refusal(() => door.check('code of alice', key(2)))).toBe('CODE_WRONG');
    expect(door.opens('code of alice')).toBeUndefined();
    await writeInvites(folder, [invite('alice', { maxShare: 0.25 }), invite('bob')]);
    expect(door.enter('code of alice', key(2))).toMatchObject({ name: 'alice', maxShare: 0.25 });
    expect(door.enter('code of bob', key(3))).toMatchObject({ name: 'bob' });
    expect(door.opens('code of alice')).toBe('join');
    expect(refusal(() => door.check('code of alicE', key(2)))).toBe('CODE_WRONG');
  });

  test('let in as many keys as they say, again and again, also through a host that starts anew', async () => {
    await writeInvites(folder, [invite('alice', { uses: 2 })]);
    for (const door of [open(), open()])
      for (const number of [1, 2, 1]) expect(door.enter('code of alice', key(number)).name).toBe('alice');
    const door = open();
    expect(refusal(() => door.check('code of alice', key(3)))).toBe('INVITE_USED');
    expect(refusal(() => door.enter('code of alice', key(3)))).toBe('INVITE_USED');
    expect(door.opens('code of alice'), 'members fetch by it').toBe('join');
    expect(door.enter(MAIN, key(3)).name, 'the code of the run has no limit').toBe('main');
  });

  test('a proof is counted, a name is not: two who come at once by one use', async () => {
    await writeInvites(folder, [invite('alice', { uses: 1 })]);
    const door = open();
    door.check('code of alice', key(1));
    door.check('code of alice', key(2));
    door.enter('code of alice', key(2));
    expect(refusal(() => door.enter('code of alice', key(1)))).toBe('INVITE_USED');
  });

  test('withdrawn: nobody new, members come back and read on, and the data is not given out any more', async () => {
    await writeInvites(folder, [invite('alice'), invite('bob')]);
    const door = open();
    door.enter('code of alice', key(1));
    await writeInvites(folder, [invite('alice', { withdrawn: true }), invite('bob', { withdrawn: true })]);
    expect(refusal(() => door.check('code of alice', key(2)))).toBe('INVITE_WITHDRAWN');
    expect(door.enter('code of alice', key(1)).name).toBe('alice');
    expect(door.opens('code of alice')).toBe('view');
    expect(door.opens('code of bob'), 'nobody came by it').toBeUndefined();
  });

  test('the files hold no code, and only their owner reads them', async () => {
    await writeInvites(folder, [invite('alice')]);
    open().enter('code of alice', key(1));
    for (const name of [INVITES_FILE, GUESTS_FILE]) {
      expect(readFileSync(join(folder, name), 'utf8')).not.toContain('code of alice');
      if (process.platform !== 'win32') expect(statSync(join(folder, name)).mode & 0o777, name).toBe(0o600);
    }
    expect(existsSync(join(folder, `.${GUESTS_FILE}.part`))).toBe(false);
  });

  test.each(['', '[]', '{"invites": 1}', '{"invites": [{"name": "x"}]}', '{"invites": [{"name": "x", "hash": "00"}]}'])(
    'a damaged list is refused when a host starts, and leaves a running one as it was: %j',
    async (text) => {
      await writeInvites(folder, [invite('alice')]);
      const door = open();
      writeFileSync(join(folder, INVITES_FILE), text);
      expect(refusal(() => readInvites(folder))).toBe('FILE_MISSING');
      expect(refusal(() => open())).toBe('FILE_MISSING');
      expect(door.check('code of alice', key(1)).name).toBe('alice');
    },
  );

  test('damaged guests are refused by the name of their file', () => {
    writeFileSync(join(folder, GUESTS_FILE), '{"12": []}');
    expect(refusal(() => open())).toBe('FILE_MISSING');
  });
});

describe('an allow-list', () => {
  test('lets in who has a code and is on it; it may grow while the host runs', () => {
    const allow = join(folder, 'peers.txt');
    writeFileSync(allow, `# friends\n${toHex(key(1))}  # alice\n\n`);
    const door = open({ policy: 'allow-list', allow, own: [toHex(key(9))] });
    expect(door.enter(MAIN, key(1)).name).toBe('main');
    expect(door.enter(MAIN, key(9)).name, 'a peer of the host itself').toBe('main');
    expect(refusal(() => door.check(MAIN, key(2)))).toBe('NOT_ALLOWED');
    expect(refusal(() => door.check('another', key(1)))).toBe('CODE_WRONG');
    writeFileSync(allow, `${toHex(key(2)).toUpperCase()}`);
    expect(door.check(MAIN, key(2)).name).toBe('main');
    expect(refusal(() => door.check(MAIN, key(1)))).toBe('NOT_ALLOWED');
  });

  test('may stand in the run file itself; what is no key, or not there, is refused', () => {
    const both = `${toHex(key(1))},${toHex(key(2))}`;
    expect(keysOf(both, 'allow').size).toBe(2);
    expect(open({ policy: 'allow-list', allow: both }).check(MAIN, key(2)).name).toBe('main');
    expect(refusal(() => open({ policy: 'allow-list', allow: `${both},12` }))).toBe('CONFIG_INVALID');
    expect(refusal(() => open({ policy: 'allow-list', allow: join(folder, 'none.txt') }))).toBe('FILE_MISSING');
  });
});

describe('a run with invites', () => {
  const shares = (s: Awaited<ReturnType<typeof swarm>>) =>
    s.journal.records.flatMap(({ entry }) => (entry.type === 'round' ? [entry.round] : []));

  test('no round has more records of one invite than its part, however many keys come by it and however fast', async () => {
    await writeInvites(folder, [invite('mallory', { maxShare: 0.25 })]);
    const s = await swarm({ ...MANIFEST, max_steps: 8 }, { admission: open(), minPeers: 4 });
    const honest = s.join(0, { msPerRecord: 20 });
    const sybils = [1, 2, 3].map((number) => s.join(number, { msPerRecord: 1, joinCode: 'code of mallory' }));
    expect(await s.clock.until(settledFlag(honest.finished), 600_000)).toBe(true);
    const all = Promise.all(sybils.map(({ finished }) => finished));
    expect(await s.clock.until(settledFlag(all), 600_000)).toBe(true);
    const rounds = shares(s);
    expect(rounds).toHaveLength(8);
    for (const { header, segments } of rounds) {
      const of = (slots: (slot: number) => boolean): number =>
        segments.filter(({ slot }) => slots(slot)).reduce((sum, { codes }) => sum + codes.length, 0);
      const first = s.journal.records.find(({ entry }) => entry.type === 'admit' && entry.name === 'peer 0')!.entry;
      const own = first.type === 'admit' ? first.slot : -1;
      expect(
        of((slot) => slot !== own),
        `round ${header.round}`,
      ).toBeLessThanOrEqual(8);
    }
  });

  test('goes on where all who are here are at their caps: a round is then what they may have', async () => {
    await writeInvites(folder, [invite('alice', { maxShare: 0.25 })]);
    const s = await swarm({ ...MANIFEST, max_steps: 3 }, { admission: open() });
    const alone = s.join(1, { joinCode: 'code of alice' });
    expect(await s.clock.until(settledFlag(alone.finished), 600_000)).toBe(true);
    for (const { segments } of shares(s)) expect(segments.map(({ codes }) => codes.length)).toEqual([8]);
  });

  test('a peer that is not let in says why, and does not try again', async () => {
    await writeInvites(folder, [invite('alice', { withdrawn: true }), invite('bob', { uses: 1 })]);
    const s = await swarm(MANIFEST, { admission: open() });
    const first = s.join(1, { joinCode: 'code of bob' });
    await s.clock.advance(100);
    for (const [joinCode, code] of [
      ['code of alice', 'INVITE_WITHDRAWN'],
      ['code of bob', 'INVITE_USED'],
      ['code of carol', 'CODE_WRONG'],
    ] as const) {
      const { finished } = s.join(2, { joinCode });
      const over = settledFlag(finished);
      await s.clock.until(over, 5000);
      await expect(finished).rejects.toMatchObject({ code });
    }
    first.stop();
    await s.clock.advance(1000);
  });
});
