import { expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { withIdleWork } from '../../src/peer/idle.ts';
import { localReplica } from '../../src/peer/local-replica.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { smallKernels } from '../objective/models.ts';
import { committed, smallLearner } from './learner.ts';

/** A replica that counts its idle steps, and a round to apply to it. */
async function attended(onStep: () => void = () => undefined) {
  const learner = await smallLearner({ engine: nodeEngine({ threads: 1 }), kernels: await smallKernels() });
  const replica = localReplica(learner, learner.dataset.eval, nodeCrypto);
  const steps: boolean[] = [];
  const attend = withIdleWork(
    async () => {
      const more = await replica.settleOne();
      steps.push(more);
      onStep();
      return more;
    },
    () => new Promise((resolve) => setImmediate(resolve)),
  );
  const { initial_scale: scale, clip } = learner.manifest;
  const header = { round: 1, scale, clip };
  return { learner, replica, steps, attend, header, first: committed(learner.manifest, 0, Int8Array.of(90, -7, 40)) };
}

const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1));
};

test('a round that was applied is paid while nobody calls, page by page, and nobody has to look', async () => {
  const { learner, replica, steps, attend, first } = await attended();
  await attend(() => replica.apply([first]));
  expect(steps, 'the call was answered before').toEqual([]);
  await until(() => steps.at(-1) === false);
  expect(steps.length, 'more than one page was paid').toBeGreaterThan(2);
  expect(await learner.weights.settleOne()).toBe(false);

  const other = await attended();
  await other.replica.apply([first]);
  expect(await replica.checksum()).toEqual(await other.replica.checksum());
});

test('a call that comes between two pages waits for no more of them, and sees the round on every page', async () => {
  let call: Promise<{ codes: Int8Array; steps: number }> | undefined;
  const { replica, steps, attend, header, first } = await attended(() => {
    call ??= attend(async () => ({ codes: await replica.measure(header, 0, 4), steps: steps.length }));
  });
  const other = await attended();
  await other.replica.apply([first]);
  await attend(() => replica.apply([first]));
  await until(() => call !== undefined);
  expect(await call).toEqual({ codes: await other.replica.measure(header, 0, 4), steps: 1 });
  await until(() => steps.at(-1) === false);
  expect(await replica.root()).toEqual(await other.replica.root());
});

test('calls that follow each other at once leave no room for it', async () => {
  const { replica, steps, attend, header, first } = await attended();
  await Promise.all([attend(() => replica.apply([first])), attend(() => replica.measure(header, 0, 2))]);
  expect(steps).toEqual([]);
  await until(() => steps.length > 0);
  expect(steps, 'the measurement has looked at everything').toEqual([false]);
});
