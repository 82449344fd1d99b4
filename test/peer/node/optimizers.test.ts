/** What optimizers with a memory ask of threads, pools, checkpoints and disks. */
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../../src/engine/node.ts';
import { memorySource } from '../../../src/model/source.ts';
import type { Optimizer, Round } from '../../../src/nouns.ts';
import { recentOf } from '../../../src/optimizer/steps.ts';
import { restoreLatest, saveCheckpoint } from '../../../src/peer/node/checkpoints.ts';
import { openReplica } from '../../../src/peer/node/open-replica.ts';
import { poolReplica } from '../../../src/peer/node/pool-replica.ts';
import { threadedReplica } from '../../../src/peer/node/replica-thread.ts';
import { committed } from '../learner.ts';
import { snapshotOf } from '../snapshot.ts';
import { scratchFolder } from './folder.ts';
import { quill } from './quill.ts';

const WORKER = 'dist/peer/node/replica-worker.js';
const MOMENTUM: Optimizer = { kind: 'momentum', beta: 0.9, window: 3 };

async function specWith(optimizer: Optimizer) {
  const { manifest, paths } = await quill();
  return { manifest: { ...manifest, initial_scale: 2 ** 30, optimizer }, paths, threads: 1, maxEvalSamples: 1 };
}

describe.skipIf(!existsSync(WORKER))('momentum (npm run build makes the script of workers)', () => {
  test('the rounds that a snapshot needs cross threads, to every replica of a pool, and come with a checkpoint', async () => {
    const spec = await specWith(MOMENTUM);
    const { manifest } = spec;
    const rounds = [0, 1, 2, 3].map((t): Round => committed(manifest, t, Int8Array.of(30 - t, -5, 9 * t)));
    const live = await openReplica(spec, nodeEngine({ threads: 1 }));
    await live.apply(rounds.slice(0, 3));
    const [bytes, root] = [await snapshotOf(live), await live.root()];
    const folder = scratchFolder();
    await saveCheckpoint(folder, { round: 3, leaves: await live.leaves() }, live.snapshot);
    await live.apply(rounds.slice(3));
    const expected = await live.root();

    const script = pathToFileURL(WORKER);
    const pool = poolReplica([await threadedReplica(spec, script), await threadedReplica(spec, script)]);
    const recent = (at: number) => recentOf(manifest, rounds, at);
    await pool.restore(3, memorySource('snapshot', bytes), root, recent(3));
    await pool.apply(rounds.slice(3));
    expect(await pool.root()).toEqual(expected);
    await pool.close();

    const restarted = await openReplica(spec, nodeEngine({ threads: 1 }));
    const found = await restoreLatest(restarted, folder, new Map([[3, root]]), recent);
    expect(found?.round).toBe(3);
    await restarted.apply(rounds.slice(3));
    expect(await restarted.root()).toEqual(expected);
    await Promise.all([live.close(), restarted.close()]);
  });
});

test('adam with blocks on disk is refused by name: its moments have no room there', async () => {
  const spec = await specWith({ kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 });
  const opening = openReplica({ ...spec, offloadFolder: scratchFolder() }, nodeEngine({ threads: 1 }));
  await expect(opening).rejects.toThrow(/^CONFIG_INVALID: offload_folder: optimizer adam keeps 16 bytes a weight/);
});
