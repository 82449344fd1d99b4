/** Many seeds: `npm run simulate`. Here a few, and schedules of trouble that fast-check makes smaller when one fails. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { planOf, type Trouble } from './plan.ts';
import { type Result, simulate } from './simulate.ts';
import { type Disk, newDisk, type World } from './world.ts';

/** Whatever must not happen stops a simulation by itself. */
test('20 swarms of 60 peers end with equal weights, and lose nothing that was receipted', {
  timeout: 120_000,
}, async () => {
  const results: Result[] = [];
  for (let seed = 0; seed < 20; seed++) results.push(await simulate(planOf(seed, 60)));
  const sum = (of: (result: Result) => number): number => results.reduce((total, result) => total + of(result), 0);
  expect(sum(({ lost }) => lost)).toBe(0);
  expect(
    sum(({ deaths }) => deaths),
    'hosts died',
  ).toBeGreaterThan(5);
  expect(
    sum(({ cuts }) => cuts),
    'lines broke',
  ).toBeGreaterThan(20);
  expect(sum(({ partitions }) => partitions)).toBeGreaterThan(5);
});

test('a swarm of 1,000 peers does', { timeout: 120_000 }, async () => {
  const { lost, equal, acknowledged } = await simulate(planOf(1, 1000));
  expect(lost).toBe(0);
  expect(equal).toBeGreaterThan(500);
  expect(acknowledged).toBeGreaterThan(1000);
});

test('the same seed is the same history', { timeout: 60_000 }, async () => {
  const log = async (): Promise<string[]> => {
    const lines: string[] = [];
    await simulate(planOf(3, 40), (line) => lines.push(line));
    return lines;
  };
  expect(await log()).toEqual(await log());
});

const at = fc.nat(9000);
const peer = fc.nat(7);
const trouble: fc.Arbitrary<Trouble> = fc.oneof(
  fc.record({ kind: fc.constant('cut' as const), at, peer, learns: fc.nat(5000) }),
  fc.record({ kind: fc.constant('crash' as const), at, peer, away: fc.nat(4000), learns: fc.nat(5000) }),
  fc.record({ kind: fc.constant('freeze' as const), at, peer: fc.nat(5), ms: fc.nat(20_000) }),
  fc.record({ kind: fc.constant('drift' as const), at, peer }),
  fc.record({ kind: fc.constant('offend' as const), at, peer: fc.nat(2), how: fc.nat(3) }),
  fc.record({
    ...{ kind: fc.constant('partition' as const), at, first: peer, ms: fc.nat(8000), breaks: fc.boolean() },
    part: fc.double({ min: 0, max: 0.9, noNaN: true }),
  }),
  fc.record({ kind: fc.constant('host' as const), at, down: fc.nat(3000) }),
);

test('whatever befalls eight peers and their host', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(1e6), fc.array(trouble, { maxLength: 12 }), async (seed, troubles) => {
      const { lost, rounds } = await simulate({ ...planOf(seed, 8), admitted: 4, troubles });
      expect(lost).toBe(0);
      expect(rounds).toBeGreaterThan(0);
    }),
    { numRuns: 60 },
  );
});

/** Says that it has synced, and has not. */
const lyingDisk = (world: World): Disk => {
  const disk = newDisk(world, 0);
  return { ...disk, open: () => ({ ...disk.open(), sync: async () => undefined }) };
};

test('a disk that lies is found out: the simulation can fail', { timeout: 60_000 }, async () => {
  const down: Trouble[] = [2000, 3500, 5000, 8000].map((at) => ({ kind: 'host', at, down: 500 }));
  let found = 0;
  for (let seed = 0; seed < 5; seed++)
    await simulate({ ...planOf(seed, 20), troubles: down }, undefined, lyingDisk).catch((error: Error) => {
      expect(error.message).toContain(`seed ${seed}`);
      found++;
    });
  expect(found).toBeGreaterThan(0);
});
