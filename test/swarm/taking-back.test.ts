import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mergesOf } from '../../src/peer/ledger.ts';
import { CONTROL_FILE } from '../../src/peer/node/control.ts';
import { murmur, type Running } from './processes.ts';
import {
  atRound,
  expectOneDigest,
  journalEntries,
  journalOf,
  linkOf,
  place,
  RUNNABLE,
  resultOf,
  slotsOf,
  textIn,
} from './run.ts';

const LONG = { timeout: 300_000 };

const count = ({ lines }: Running, name: string): number => lines.filter(({ event }) => event === name).length;

describe.skipIf(!RUNNABLE)('taking back, by real processes (npm run build makes them)', () => {
  test(
    'three peers: one is revoked while they run, then rounds are rewound; then one more, when nobody runs',
    LONG,
    async () => {
      const at = place();
      const settings = { peers: 0, min_peers: 3, per_device_train_batch_size: 4, max_steps: 90, save_steps: 40 };
      const host = at.host({ ...settings, optimizer: 'momentum', momentum: 0.5 });
      const link = await linkOf(host);
      const [one, mallory, three] = ['one', 'mallory', 'three'].map((name) => at.join(link, name));
      await host.waitFor(atRound('round', 8));
      const control = join(at.out, CONTROL_FILE);
      expect(statSync(control).mode & 0o777).toBe(0o600);

      // By the folder; and what cannot be is refused by the host, which goes on.
      const revoked = await resultOf(at.run('revoke', at.out, 'mallory', '--reason', 'sends noise'));
      expect(revoked).toMatchObject({ live: true, slot: expect.any(Number), records: expect.any(Number) });
      expect(revoked['records']).toBeGreaterThan(0);
      const refused = { code: 2, stderr: 'murmur: CONFIG_INVALID: "eve": no such peer; "murmur inspect" lists them\n' };
      const [slot, honest] = [Number(revoked['slot']), [one!, three!]];
      // By the link, as from another machine.
      const { link: orders } = JSON.parse(readFileSync(control, 'utf8'));
      const [eve, rewound] = await Promise.all([
        murmur(['revoke', orders, 'eve']).exit(),
        resultOf(murmur(['rewind', orders, '7'])),
      ]);
      expect(eve).toMatchObject(refused);
      expect(rewound).toMatchObject({ live: true, rounds: 7 });
      expect(await mallory!.exit()).toMatchObject({
        code: 1,
        done: { error: { code: 'EVICTED', message: 'sends noise' } },
      });

      const digest = await expectOneDigest(at, host, honest);
      expect(existsSync(control), 'it goes with its host').toBe(false);
      expect(honest.map((peer) => [count(peer, 'revised'), count(peer, 'rebuild')])).toEqual([
        [2, 0],
        [2, 0],
      ]);
      expect(journalOf(at.out).rounds.flatMap(slotsOf)).not.toContain(slot);
      expect(await resultOf(at.run('replay', at.out))).toMatchObject({ digest, rounds: 90 });

      // Nobody hosts it now: the journal itself says so.
      const other = slotsOf(journalOf(at.out).rounds[89]!)[0]!;
      const quiet = await resultOf(at.run('revoke', at.out, String(other), '--from', '10', '--to', '20'));
      expect(quiet).toMatchObject({ live: false, slot: other, rounds: 90 });
      const verified = await resultOf(at.run('verify', at.out));
      expect(verified).toMatchObject({ journal: 'valid', weights: 'equal', rounds: 90 });
      expect(verified['digest']).not.toBe(digest);
    },
  );

  test(
    'coordinate Adam: no revocation; rewound when nobody runs, it ends once more, and all start anew',
    LONG,
    async () => {
      const at = place();
      const settings = { peers: 0, min_peers: 1, per_device_train_batch_size: 4, max_steps: 8, optimizer: 'adam' };
      const host = at.host(settings);
      const link = await linkOf(host);
      const peer = at.join(link, 'one');
      const first = await expectOneDigest(at, host, [peer]);
      expect((await at.run('revoke', at.out, 'one').exit()).stderr).toMatch(/^murmur: NOT_REVOCABLE: optimizer adam: /);
      expect(await resultOf(at.run('rewind', at.out, '5'))).toMatchObject({ live: false, rounds: 5 });
      expect(await resultOf(at.run('verify', at.out))).toMatchObject({ weights: 'equal', rounds: 5 });
      const resumed = at.host(settings);
      const digest = await expectOneDigest(at, resumed, [at.join(await linkOf(resumed), 'one')]);
      // The same peer, alone, from the same weights: what it measures is what it measured.
      expect(digest).toBe(first);
      expect(journalEntries(at.out).filter(({ type }) => type === 'round')).toHaveLength(8 + 3);
    },
  );

  test(
    'a run that exchanges vectors: no revocation; rewound when nobody runs, its merges are made once more',
    LONG,
    async () => {
      const at = place(textIn);
      const settings = { method: 'diloco', peers: 2, inner_steps: 2, max_steps: 12, save_steps: 4 };
      await expectOneDigest(at, at.host(settings), []);
      const refused = await at.run('revoke', at.out, '0').exit();
      expect(refused.stderr).toMatch(/^murmur: NOT_REVOCABLE: method diloco: /);
      expect(await resultOf(at.run('rewind', at.out, '2'))).toMatchObject({ live: false, rounds: 2 });
      await expectOneDigest(at, at.host(settings), []);
      const entries = journalEntries(at.out);
      expect(entries.filter(({ type }) => type === 'merge')).toHaveLength(6 + 4);
      expect(mergesOf(entries).map(({ round }) => round)).toEqual([0, 1, 2, 3, 4, 5]);
    },
  );
});
