import { expect, test } from 'vitest';
import { nodeEngine } from '../../../src/engine/node.ts';
import type { Round } from '../../../src/nouns.ts';
import { headerOf, usableCodes } from '../../../src/optimizer/header.ts';
import { extend } from '../../../src/peer/ledger.ts';
import { openReplica } from '../../../src/peer/node/open-replica.ts';
import { soloRun } from '../../../src/peer/node/solo.ts';
import { quill } from './quill.ts';

test('a run in one process ends with the weights of two peers that share its records; its curve leaves judging out', async () => {
  const { manifest: own, paths } = await quill();
  const manifest = { ...own, initial_scale: 2 ** 28 };
  const spec = { manifest, paths, threads: 1, maxEvalSamples: 8 };
  const alone = await openReplica(spec, nodeEngine({ threads: 1 }));
  let clock = 0;
  const { judged, rounds, stopped } = await soloRun(manifest, alone, { evalSteps: 3, now: () => clock++ });
  expect([rounds, stopped]).toEqual([4, undefined]);
  expect(judged.map(({ round, spent }) => [round, spent])).toEqual([
    [0, 0],
    [3, 3],
    [4, 4],
  ]);
  expect(new Set(judged.map(({ metrics }) => metrics['eval/loss'])).size).toBe(3);

  const replica = await openReplica(spec, nodeEngine({ threads: 1 }));
  let ledger = extend(undefined, { type: 'manifest', manifest });
  for (let t = 0; t < 4; t++) {
    const open = { round: t, scale: ledger.scale.scale, clip: manifest.clip };
    const late = await replica.measure(open, 3, 5);
    const segments = [
      { slot: 0, from: 0, codes: await replica.measure(open, 0, 3) },
      { slot: 1, from: 3, codes: late },
    ];
    const round: Round = { header: headerOf(manifest, ledger.scale, t, usableCodes(segments)), segments };
    await replica.apply([round]);
    ledger = extend(ledger, { type: 'round', round });
  }
  expect(await alone.root()).toEqual(await replica.root());
  await alone.close();
  await replica.close();
});

test.each([{ kind: 'normalised' }, { kind: 'momentum', beta: 0.9, window: 3 }, { kind: 'sign' }] as const)(
  'its headers are those of a run, with optimizer $kind too',
  async (optimizer) => {
    const { manifest, paths } = await quill();
    const own = { ...manifest, initial_scale: 2 ** 28, optimizer };
    const replica = await openReplica(
      { manifest: own, paths, threads: 1, maxEvalSamples: 4 },
      nodeEngine({ threads: 1 }),
    );
    expect(await soloRun(own, replica, { evalSteps: 4, now: () => 0 })).toMatchObject({ rounds: 4 });
    await replica.close();
  },
);

test('it ends when it is stopped, and when its judge says so', async () => {
  const { manifest, paths } = await quill();
  const replica = await openReplica({ manifest, paths, threads: 1, maxEvalSamples: 4 }, nodeEngine({ threads: 1 }));
  const now = () => 0;
  expect(await soloRun(manifest, replica, { evalSteps: 1, now, isStopped: () => true })).toMatchObject({ rounds: 0 });
  const judge = ({ round }: { round: number }) => (round === 2 ? 'enough' : undefined);
  expect(await soloRun(manifest, replica, { evalSteps: 1, now, judge })).toMatchObject({
    rounds: 2,
    stopped: 'enough',
  });
  await replica.close();
});
