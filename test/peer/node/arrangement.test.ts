import { describe, expect, test } from 'vitest';
import type { Manifest } from '../../../src/nouns.ts';
import {
  arrange,
  candidates,
  chooseArrangement,
  type Limits,
  mostWorkers,
  weightBytes,
} from '../../../src/peer/node/arrangement.ts';
import type { ThreadedReplica } from '../../../src/peer/replica-calls.ts';
import { quill } from './quill.ts';

const GB = 1e9;
const limits = (cores: number, more: Partial<Limits> = {}): Limits => ({
  cores,
  freeMemory: 16 * GB,
  weights: 0.001 * GB,
  records: 1024,
  ...more,
});

describe('workers and threads follow from times, memory and records', () => {
  test.each<[string, Limits, readonly (readonly [number, number])[], number, number]>([
    [
      'threads that gain nothing',
      limits(2),
      [
        [2, 10],
        [1, 10],
      ],
      2,
      1,
    ],
    [
      'threads that lose',
      limits(2),
      [
        [2, 24],
        [1, 10],
      ],
      2,
      1,
    ],
    [
      'threads that share perfectly',
      limits(2),
      [
        [2, 10],
        [1, 20],
      ],
      1,
      2,
    ],
    [
      'a gain too small to be sure of',
      limits(2),
      [
        [2, 10],
        [1, 19],
      ],
      1,
      2,
    ],
    [
      'a gain that is clear',
      limits(2),
      [
        [2, 10],
        [1, 17.9],
      ],
      2,
      1,
    ],
    [
      'two threads each, of eight',
      limits(8),
      [
        [8, 10],
        [2, 20],
        [1, 50],
      ],
      4,
      2,
    ],
    [
      'one thread each, of eight',
      limits(8),
      [
        [8, 10],
        [2, 20],
        [1, 30],
      ],
      8,
      1,
    ],
    [
      'weights that fit once',
      limits(2, { weights: 5 * GB }),
      [
        [2, 10],
        [1, 10],
      ],
      1,
      2,
    ],
    [
      'weights that fit just twice',
      limits(2, { weights: 4 * GB }),
      [
        [2, 10],
        [1, 10],
      ],
      2,
      1,
    ],
    [
      'memory for three of eight',
      limits(8, { weights: 2.5 * GB }),
      [
        [8, 10],
        [3, 10],
        [1, 20],
      ],
      2,
      3,
    ],
    [
      'weights that fit not even once',
      limits(4, { weights: 40 * GB }),
      [
        [4, 10],
        [1, 5],
      ],
      1,
      1,
    ],
    [
      'records for two',
      limits(8, { records: 8 }),
      [
        [8, 10],
        [4, 14],
      ],
      2,
      4,
    ],
    ['a model too large to be tried', limits(2), [[2, 900]], 1, 2],
  ])('%s', (_, given, times, workers, threads) => {
    expect(chooseArrangement(given, new Map(times))).toEqual({ workers, threads });
  });

  test('what is tried leaves no core idle that memory and records have work for', () => {
    expect(candidates(limits(2))).toEqual([2, 1]);
    expect(candidates(limits(8))).toEqual([8, 2, 1]);
    expect(candidates(limits(16, { records: 16 }))).toEqual([16, 8, 4]);
    expect(candidates(limits(1))).toEqual([1]);
    expect([mostWorkers(limits(4, { records: 3 })), mostWorkers(limits(4, { weights: 3 * GB }))]).toEqual([1, 2]);
  });

  test('a weight takes four bytes, in a file of halves two', async () => {
    const { manifest } = await quill();
    const { bytes } = manifest.base.files.find(({ path }) => path === 'model.safetensors')!;
    expect(weightBytes(manifest)).toBe(2 * bytes);
  });
});

describe('a trial', () => {
  /** A replica that takes `ms(threads)` a call on a clock of its own. */
  async function onTrial(ms: (threads: number) => number, cores: number, more: Partial<Manifest> = {}, memory = GB) {
    const done: (string | number)[] = [];
    let [now, threads] = [0, cores];
    const replica = {
      async adjust(count: number, others: string) {
        threads = count;
        if (others === 'release') done.push(`${count} for good`);
      },
      async measure() {
        now += ms(threads);
        done.push(threads);
        return new Int8Array(8);
      },
    } as unknown as ThreadedReplica;
    const { manifest } = await quill();
    const clock = { now: () => now, after: () => () => undefined };
    const chosen = await arrange(replica, { ...manifest, records_per_round: 64, ...more }, cores, memory, clock);
    return { chosen, done, took: now };
  }

  test('takes both in turn and the medians, and leaves the replica with the threads chosen', async () => {
    let calls = 0;
    const slowOnce = (threads: number) => (++calls === 7 ? 1000 : threads === 1 ? 10 : 15);
    const { chosen, done } = await onTrial(slowOnce, 2);
    expect(chosen).toEqual({ workers: 2, threads: 1 });
    expect(done.slice(0, 8)).toEqual([2, 2, 2, 1, 2, 1, 2, 1]);
    expect(done.at(-1)).toBe('1 for good');
  });

  test('is short: a large model is not tried with fewer threads', async () => {
    const { chosen, done } = await onTrial(() => 160, 2);
    expect([chosen, done]).toEqual([{ workers: 1, threads: 2 }, [2, 2, 2, '2 for good']]);
    expect((await onTrial(() => 60, 2)).took).toBeLessThan(1000);
    expect((await onTrial(() => 1, 8)).took).toBeLessThan(1000);
  });

  test('is left out on one core, for records that are batches, for few records, and where memory is short', async () => {
    const given = [
      [1, {}, GB],
      [4, { samples_per_record: 16 }, GB],
      [4, { records_per_round: 7 }, GB],
      [4, {}, 1e7],
    ] as const;
    for (const [cores, more, memory] of given)
      expect(await onTrial(() => 1, cores, more, memory)).toMatchObject({
        chosen: { workers: 1, threads: cores },
        done: [],
      });
  });
});
