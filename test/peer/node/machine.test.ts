/** What the doctor finds on a machine. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { nodeEngine } from '../../../src/engine/node.ts';
import { Fault } from '../../../src/faults.ts';
import type { Check } from '../../../src/peer/checks.ts';
import { checkClock, checkDisk, checkEngine, checkMemory, checkNode } from '../../../src/peer/node/machine.ts';
import type { Engine } from '../../../src/ports.ts';

const now = (): number => performance.now();

test.each([
  ['20.18.9', 'fail'],
  ['20.19.0', 'ok'],
  ['22.1.0', 'ok'],
  ['18.20.0', 'fail'],
  ['100.0.0', 'ok'],
])('Node %s: %s', (version, state) => expect(checkNode(version).state).toBe(state));

test('what is fine has no remedy, what is not has one', () => {
  expect(checkMemory(8e9, 4)).toEqual({ check: 'memory', state: 'ok', found: '8.00 GB free, 4 cores' });
  expect(checkMemory(1e9, 1)).toMatchObject({ state: 'warn', remedy: expect.stringContaining('--offload_folder') });
  expect(checkMemory(1e8, 1)).toMatchObject({ state: 'fail' });
});

test.each([
  ['steady', [0, 10, 20], [5, 15, 26], 'ok'],
  ['set by an hour', [0, 10, 20], [0, 10, 3_600_020], 'warn'],
  ['set back', [0, 10, 20], [0, 10, -3_600_000], 'warn'],
  ['backwards', [0, 10, 5], [0, 10, 20], 'fail'],
  ['standing', [7, 7, 7], [0, 10, 20], 'fail'],
])('a clock: %s', (_, steady, wall, state) => expect(checkClock({ steady, wall }).state).toBe(state));

test('a disk is tried where the folder would be, and nothing is left there', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'murmur-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const found = await checkDisk('output_dir', join(folder, 'not', 'yet'), now);
  expect(found.found).toMatch(new RegExp(`^${folder}: .* free, [\\d.]+ ms to sync$`));
  expect(found.state).not.toBe('fail');
  expect(await readdir(folder)).toEqual([]);
  await writeFile(join(folder, 'file'), '');
  const none = await checkDisk('output_dir', join(folder, 'file'), now);
  expect(none).toMatchObject({ state: 'fail', remedy: expect.stringContaining('name a folder') });
});

async function enginesChecks(load: () => Promise<Engine>): Promise<Check[]> {
  const found: Check[] = [];
  for await (const check of checkEngine(load, now)) found.push(check);
  return found;
}

test('a device that computes as it must is said to, with its speed', async () => {
  const found = await enginesChecks(async () => nodeEngine({ threads: 1 }));
  expect(found.map(({ check, state }) => [check, state === 'fail'])).toEqual([
    ...[
      ['runtime', false],
      ['known answers', false],
      ['speed', false],
    ],
  ]);
  expect(found[2]!.found).toMatch(/^[\d.]+ GFLOP\/s: /);
});

test('one that computes wrongly, and a runtime that does not load, are said to', async () => {
  const wrong: Engine = {
    name: 'wrong',
    compile: async (graph) => {
      const program = await nodeEngine({ threads: 1 }).compile(graph);
      return {
        ...program,
        async run(feeds, outputs) {
          await program.run(feeds, outputs);
          for (const out of Object.values(outputs)) if (out instanceof Float32Array) out[0]! *= 1.01;
        },
      };
    },
  };
  const [, answers] = await enginesChecks(async () => wrong);
  expect(answers).toMatchObject({ check: 'known answers', state: 'fail', found: /computes wrongly/ });
  const failing = await enginesChecks(() => Promise.reject(new Fault('ENGINE_FAILED', 'no such file')));
  expect(failing).toMatchObject([{ check: 'runtime', state: 'fail', remedy: /npm install/ }]);
});
