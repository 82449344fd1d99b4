import { describe, expect, test } from 'vitest';
import { GROUPS } from '../faults/scenarios.ts';
import { RUNNABLE } from './run.ts';

/** The most telling of the scenarios that `npm run study:faults` plays; each checks the end of its run. */
const TELLING = [
  'a peer is killed while it sends: half of a contribution arrives',
  'every tenth contribution or commit breaks its connection, in its middle or behind it',
  'the host loses power before the fsync of a commit: half of it is on the disk',
  'the disk is full at a checkpoint',
];

const scenarios = new Map(
  Object.values(GROUPS)
    .flat()
    .map((scenario) => [scenario.fault, scenario]),
);

describe.skipIf(!RUNNABLE)('real faults (npm run build makes the processes): nothing acknowledged is lost', () => {
  test.each(TELLING)('%s', { timeout: 900_000 }, async (fault) => {
    const { acknowledged, lost } = await scenarios.get(fault)!.play();
    expect(acknowledged).toBeGreaterThan(0);
    expect(lost).toBe(0);
  });

  test('no two scenarios have the same words: results are kept by them', () => {
    expect(scenarios.size).toBe(Object.values(GROUPS).flat().length);
  });
});
