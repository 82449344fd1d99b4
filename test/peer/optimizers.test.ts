/** Journal replayed, run lived through, snapshot restored: the same weights to the bit, whatever the optimizer. */
import { describe, expect, test } from 'vitest';
import { interpreter } from '../../src/graph/interpreter.ts';
import { encodeManifest } from '../../src/journal/manifest.ts';
import { applyCommitted, memoryOf } from '../../src/method/onebyte.ts';
import { memorySource } from '../../src/model/source.ts';
import type { Manifest, Optimizer, Round } from '../../src/nouns.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { scaleState } from '../../src/numeric/scale.ts';
import { PROMISES, promisesOf } from '../../src/optimizer/algebra.ts';
import { codeSums, nextState } from '../../src/optimizer/gain.ts';
import { headerOf, usableCodes } from '../../src/optimizer/header.ts';
import { recentOf } from '../../src/optimizer/steps.ts';
import { Follower } from '../../src/peer/follower.ts';
import { localReplica } from '../../src/peer/local-replica.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { integersOf } from '../model/shelf.ts';
import { smallKernels } from '../objective/models.ts';
import { begunJournal, fakeCrypto, journalFetcher, secretOf } from './fake.ts';
import { smallLearner } from './learner.ts';
import { offerOf, snapshotOf } from './snapshot.ts';

const ADAM = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };
const OPTIMIZERS: readonly Optimizer[] = [
  { kind: 'sign' },
  { kind: 'normalised' },
  { kind: 'momentum', beta: 0.7, window: 4 },
  { kind: 'scalar_adam', ...ADAM, window: 3 },
  { kind: 'adam', ...ADAM },
];
const ROUNDS = 20;

async function replicaWith(optimizer: Optimizer, fast = false) {
  const kernels = fast ? await smallKernels() : referenceKernels();
  const plain = await smallLearner({ engine: interpreter, kernels });
  const manifest: Manifest = { ...plain.manifest, max_steps: ROUNDS, optimizer };
  return localReplica({ ...plain, manifest }, [], nodeCrypto);
}

/** Rounds of a run with this optimizer, with codes that follow from nothing. */
function journalOf(manifest: Manifest): Round[] {
  let state = scaleState(manifest.initial_scale);
  return Array.from({ length: ROUNDS }, (_, t) => {
    const codes = Int8Array.from({ length: 3 }, (_, i) => ((t * 37 + i * 91) % 255) - 128);
    const segments = [{ slot: 0, from: 0, codes }];
    const header = headerOf(manifest, state, t, usableCodes(segments), codeSums(segments, manifest.clip));
    const round = { header, segments };
    state = nextState(manifest, state, round);
    return round;
  });
}

const manifestWith = async (optimizer: Optimizer): Promise<Manifest> => {
  const { manifest } = await smallLearner({ engine: interpreter, kernels: referenceKernels() });
  return { ...manifest, max_steps: ROUNDS, optimizer };
};

describe.each(OPTIMIZERS)('$kind', (optimizer) => {
  test('one round at a time with looks in between, all at once, and other kernels', async () => {
    const rounds = journalOf(await manifestWith(optimizer));
    const live = await replicaWith(optimizer);
    for (const round of rounds) {
      await live.apply([round]);
      await live.checksum();
    }
    const root = await live.root();
    for (const fast of [false, true]) {
      const replayed = await replicaWith(optimizer, fast);
      await replayed.apply(rounds);
      expect(await replayed.root()).toEqual(root);
    }
  });

  test('from a snapshot: the same, or a refusal that says why', async () => {
    const manifest = await manifestWith(optimizer);
    const rounds = journalOf(manifest);
    const live = await replicaWith(optimizer);
    await live.apply(rounds.slice(0, 11));
    const [bytes, root] = [await snapshotOf(live), await live.root()];
    const other = await replicaWith(optimizer);
    const restore = (recent?: readonly Round[]) => other.restore(11, memorySource('snapshot', bytes), root, recent);
    const { holds, why } = promisesOf(manifest).snapshots;
    if (!holds) {
      const { kind } = optimizer;
      await expect(restore()).rejects.toThrow(`CONFIG_INVALID: optimizer ${kind}: no snapshots: ${why}`);
      expect(other.round()).toBe(0);
      return;
    }
    const recent = recentOf(manifest, rounds, 11);
    if (recent.length > 0) await expect(restore()).rejects.toThrow('"recent" expected');
    await restore(recent);
    await live.apply(rounds.slice(11));
    await other.apply(rounds.slice(11));
    expect(await other.root()).toEqual(await live.root());
  });

  test('a peer that joins late follows, with a snapshot where the optimizer has them', async () => {
    const manifest = await manifestWith(optimizer);
    const rounds = journalOf(manifest);
    const live = await replicaWith(optimizer);
    await live.apply(rounds.slice(0, 17));
    const offer = await offerOf(live);
    const root = await live.root();
    await live.apply(rounds.slice(17));

    const journal = await begunJournal(manifest);
    await journal.append({ type: 'admit', slot: 0, key: secretOf(3), name: 'peer' });
    for (const round of rounds) await journal.append({ type: 'round', round });
    await journal.append({ type: 'digest', round: 17, root });
    const joined = await replicaWith(optimizer);
    let applied = 0;
    const counting = {
      ...joined,
      apply(some: readonly Round[]) {
        applied += some.length;
        return joined.apply(some);
      },
    };
    const follower = new Follower(fakeCrypto, journal.position.run!, async () => counting);
    const fetcher = journalFetcher(
      () => journal,
      () => offer,
    );
    await follower.fetch(fetcher);
    while (!(await follower.advance(fetcher)));
    expect(await joined.root()).toEqual(await live.root());
    expect(applied).toBe(promisesOf(manifest).snapshots.holds ? ROUNDS - 17 : ROUNDS);
  });
});

describe('the table of promises', () => {
  test('gives every optimizer a reason for every promise; only adam breaks one', () => {
    for (const optimizer of [undefined, ...OPTIMIZERS]) {
      const verdicts = promisesOf({ optimizer });
      expect(Object.keys(verdicts)).toEqual(Object.keys(PROMISES));
      for (const { holds, why } of Object.values(verdicts)) {
        expect(why).not.toBe('');
        expect(holds).toBe(optimizer?.kind !== 'adam');
      }
    }
  });

  test.each(OPTIMIZERS)('order_free of $kind is what happens to the steps of a run', async (optimizer) => {
    const manifest = await manifestWith(optimizer);
    const rounds = journalOf(manifest).slice(0, 6);
    const bits = async (order: readonly Round[]) => {
      const learner = { ...(await smallLearner({ engine: interpreter, kernels: referenceKernels() })), manifest };
      const adam = memoryOf();
      for (const round of order) {
        const recent = recentOf(manifest, rounds, round.header.round);
        await applyCommitted(learner, round, optimizer.kind === 'adam' ? adam : memoryOf(recent));
      }
      return integersOf(learner.weights);
    };
    const same = JSON.stringify(await bits(rounds.toReversed())) === JSON.stringify(await bits(rounds));
    expect(same).toBe(promisesOf(manifest).order_free.holds);
  });
});

test('estimator conservative with an optimizer that steps otherwise is no manifest', async () => {
  const manifest = await manifestWith({ kind: 'momentum', beta: 0.9, window: 8 });
  expect(() => encodeManifest({ ...manifest, estimator: 'conservative' })).toThrow(
    'optimizer: expected none with estimator conservative',
  );
});
