/** Several replicas of a machine are one: nothing but time tells them apart. */

import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fault } from '../../../src/faults.ts';
import { memorySource } from '../../../src/model/source.ts';
import { initialScale } from '../../../src/numeric/scale.ts';
import type { NodeReplica } from '../../../src/peer/node/open-replica.ts';
import { poolReplica, sharesOf } from '../../../src/peer/node/pool-replica.ts';
import { threadedReplica } from '../../../src/peer/node/replica-thread.ts';
import { snapshotOf } from '../snapshot.ts';
import { quill } from './quill.ts';

const WORKER = 'dist/peer/node/replica-worker.js';
const script = pathToFileURL(WORKER);
const header = { round: 0, scale: initialScale([20]), clip: 127 };

test('shares cover a range in order, in even sizes but for the last, and as equal as pairs allow', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 20 }), (from, n, workers) => {
      const shares = sharesOf(from, n, workers);
      const counts = shares.map(({ count }) => count);
      expect(shares.length).toBe(Math.min(workers, Math.ceil(n / 2)));
      let next = from;
      for (const share of shares) {
        expect(share.from).toBe(next);
        next += share.count;
      }
      expect(next).toBe(from + n);
      expect(counts.slice(0, -1).every((count) => count > 0 && count % 2 === 0)).toBe(true);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(3);
    }),
  );
  expect(sharesOf(5, 16, 3)).toEqual([
    { from: 5, count: 4 },
    { from: 9, count: 6 },
    { from: 15, count: 6 },
  ]);
});

describe.skipIf(!existsSync(WORKER))('a pool of replicas in worker threads (npm run build makes their script)', () => {
  const open = async (count: number) => {
    const spec = { ...(await quill()), threads: 1, maxEvalSamples: 16 };
    return Promise.all(Array.from({ length: count }, () => threadedReplica(spec, script)));
  };

  test('measures the codes of one replica, applies everywhere, restores everywhere, and closes as one', async () => {
    const [[single], members] = [await open(1), await open(2)];
    const pool = poolReplica(members);
    expect(pool.width).toBe(2);
    const codes = await single!.measure(header, 0, 7);
    expect(await pool.measure(header, 0, 7)).toEqual(codes);
    expect(await pool.measure(header, 2, 3)).toEqual(codes.slice(2, 5));
    expect(new Set(codes).size).toBeGreaterThan(3);

    const [base, origin] = [memorySource('snapshot', await snapshotOf(pool)), await pool.root()];
    const round = { header: { ...header, usable: 7, gain: 1e-3 }, segments: [{ slot: 0, from: 0, codes }] };
    await Promise.all([single!.apply([round]), pool.apply([round])]);
    const roots = await Promise.all([single!, pool, ...members].map((replica) => replica.root()));
    for (const root of roots) expect(root).toEqual(roots[0]);
    expect(roots[0]).not.toEqual(origin);
    const second = { ...header, round: 1 };
    expect(await pool.measure(second, 0, 8)).toEqual(await single!.measure(second, 0, 8));

    await expect(pool.apply([round])).rejects.toMatchObject({ code: 'JOURNAL_ORDER' });
    expect([pool.round(), await pool.evaluate()]).toEqual([1, await single!.evaluate()]);
    await pool.restore(0, base, origin);
    for (const member of members) expect(await member.root()).toEqual(origin);

    const waiting = pool.measure(header, 0, 8);
    waiting.catch(() => undefined);
    await pool.close();
    await expect(waiting).rejects.toMatchObject({ code: 'INTERRUPTED' });
    for (const member of members) await expect(member.root()).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await single!.close();
  });
});

describe('a pool that breaks', () => {
  /** A replica that answers until it is told otherwise. */
  function fake(own: Partial<NodeReplica> = {}) {
    let closed = 0;
    const replica = {
      round: () => 0,
      apply: async () => undefined,
      measure: async (_: unknown, __: number, count: number) => new Int8Array(count),
      root: async () => new Uint8Array(32),
      close: async () => void closed++,
      ...own,
    } as NodeReplica;
    return { replica, closed: () => closed };
  }

  const dead = () => Promise.reject(new Fault('ENGINE_FAILED', 'the compute thread has ended'));

  test.each(['measure', 'apply'] as const)(
    'a worker that dies in %s closes all of them; later calls get its fault',
    async (name) => {
      const members = [fake(), fake({ [name]: dead }), fake()];
      const pool = poolReplica(members.map(({ replica }) => replica));
      const call = name === 'apply' ? pool.apply([]) : pool.measure(header, 0, 12);
      const fault = { code: 'ENGINE_FAILED', detail: 'the compute thread has ended' };
      await expect(call).rejects.toMatchObject(fault);
      expect(members.map(({ closed }) => closed())).toEqual([1, 1, 1]);
      await expect(pool.root()).rejects.toMatchObject(fault);
      await expect(pool.measure(header, 0, 1)).rejects.toMatchObject(fault);
    },
  );

  test('one that alone refuses a round has other weights than the rest: the pool ends', async () => {
    const range = () => Promise.reject(new Fault('RANGE', 'a weight left its range'));
    const apart = poolReplica([fake().replica, fake({ apply: range }).replica]);
    await expect(apart.apply([])).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
    await expect(apart.root()).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
    const together = poolReplica([fake({ apply: range }).replica, fake({ apply: range }).replica]);
    await expect(together.apply([])).rejects.toMatchObject({ code: 'RANGE' });
    expect(await together.root()).toHaveLength(32);
  });

  test('a pool of none is a mistake of the caller', () => {
    expect(() => poolReplica([])).toThrow(/"replicas" expected/);
  });
});
