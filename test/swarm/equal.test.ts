import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { secretOf } from '../../src/peer/node/identity.ts';
import { KEY_FILE } from '../../src/peer/node/run-folder.ts';
import { floatsInPlace, integers } from './arms.ts';
import { checksumsOf, codesOf, expectOneDigest, journalOf, linkOf, place, RUNNABLE, resultOf, slotsOf } from './run.ts';

/**
 * After every round, one checksum on all machines. A peer that a busy machine stalls for seconds takes several rounds
 * at once and tells only the last checksum of them: a few may be missing, none may differ.
 */
function expectEqual(told: readonly ReadonlyMap<number, unknown>[], rounds: number): void {
  let count = 0;
  for (let round = 1; round <= rounds; round++) {
    const checksums = told.flatMap((of) => (of.has(round) ? [of.get(round)] : []));
    expect(new Set(checksums).size, `after round ${round}: ${checksums}`).toBe(1);
    count += checksums.length;
  }
  expect(count, 'checksums compared').toBeGreaterThan(0.95 * told.length * rounds);
}

const LONG = { timeout: 300_000 };

describe.skipIf(!RUNNABLE)('processes (npm run build makes them)', () => {
  test('three peers, 200 rounds: equal weights after every round; floats perturbed in place drift', LONG, async () => {
    const rounds = 200;
    const at = place();
    const host = at.host({ peers: 0, min_peers: 3, per_device_train_batch_size: 1, max_steps: rounds });
    const link = await linkOf(host);
    const peers = ['one', 'two', 'three'].map((name) => at.join(link, name));
    await expectOneDigest(at, host, peers);

    const told = peers.map(checksumsOf);
    expectEqual(told, rounds);
    expect(new Set(told[0]!.values()).size, 'the weights moved every round').toBe(told[0]!.size);
    expect(peers.flatMap(({ lines }) => lines).filter(({ event }) => event === 'rebuild')).toEqual([]);

    // The control arm: what the paper's code does fails the same check, on the same directions as integers pass it.
    const [paper, ours] = [floatsInPlace(rounds), integers(rounds)];
    expectEqual(ours.told, rounds);
    expect(() => expectEqual(paper.told, rounds)).toThrow(/after round 1:/);
    for (const { losses } of [paper, ours]) expect(losses[1], 'both learn').toBeLessThan(0.85 * losses[0]);
    const [mine, another] = paper.weights;
    const differ = (of: (w: number) => number): number => mine!.filter((w, i) => of(w) !== of(another![i]!)).length;
    expect(differ((w) => w)).toBeGreaterThan(0.9 * mine!.length);
    // The paper's hash is of three decimals (ALGORITHMS 1.3) and hardly sees it.
    expect(differ((w) => Math.round(w * 1000))).toBeLessThan(0.01 * mine!.length);
  });

  test('one peer with 4 x 2 samples and four peers with 2: the same bytes, the same weights', LONG, async () => {
    const at = place();
    const [alone, together] = [join(at.folder, 'alone'), join(at.folder, 'together')];
    // The same key gives the same manifest, hence the same run: its noise is keyed with the manifest's hash.
    await secretOf(join(alone, KEY_FILE));
    mkdirSync(together);
    cpSync(join(alone, KEY_FILE), join(together, KEY_FILE));
    const one = { output_dir: alone, peers: 1, per_device_train_batch_size: 8, max_steps: 12 };
    const four = { ...one, output_dir: together, peers: 4, per_device_train_batch_size: 2 };
    const digests = [];
    for (const settings of [one, four]) digests.push((await resultOf(at.host(settings)))['digest']);
    expect(digests[1]).toBe(digests[0]);

    const [a, b] = [journalOf(alone), journalOf(together)];
    expect(b.ledger.manifest).toEqual(a.ledger.manifest);
    expect(b.rounds.map(codesOf)).toEqual(a.rounds.map(codesOf));
    expect(a.rounds.map(slotsOf)).toEqual(new Array(12).fill([0]));
    expect(
      b.rounds.every((round) => slotsOf(round).length === 4),
      'four peers share each round',
    ).toBe(true);
  });
});
