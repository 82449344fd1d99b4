/** The thread that answers the network must never wait for one that computes, nor be taken down with it. */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../../src/engine/node.ts';
import { Fault } from '../../../src/faults.ts';
import { memorySource } from '../../../src/model/source.ts';
import { equalBytes } from '../../../src/numeric/bytes.ts';
import { initialScale } from '../../../src/numeric/scale.ts';
import { openReplica } from '../../../src/peer/node/open-replica.ts';
import { threadedReplica } from '../../../src/peer/node/replica-thread.ts';
import { snapshotOf } from '../snapshot.ts';
import { quill } from './quill.ts';

const WORKER = 'dist/peer/node/replica-worker.js';
const script = pathToFileURL(WORKER);
const double = (name: string) => new URL(`./workers/${name}.mjs`, import.meta.url);
const built = existsSync(WORKER);
const header = { round: 0, scale: initialScale([1]), clip: 127 };

describe.skipIf(!built)('a replica in a worker thread (npm run build makes its script)', () => {
  test('answers as the one in this thread does, while this thread stays free', async () => {
    const spec = { ...(await quill()), threads: 1, maxEvalSamples: 64 };
    const [here, there] = [await openReplica(spec, nodeEngine({ threads: 1 })), await threadedReplica(spec, script)];
    const expected = [await here.measure(header, 0, 8), await here.evaluate(), await here.root()];

    let [last, worst] = [performance.now(), 0];
    const beat = setInterval(() => {
      worst = Math.max(worst, performance.now() - last);
      last = performance.now();
    }, 1);
    const began = performance.now();
    const got = await Promise.all([there.measure(header, 0, 8), there.evaluate(), there.root()]);
    const took = performance.now() - began;
    clearInterval(beat);
    expect(got).toEqual(expected);
    // However busy the machine is: what blocked this thread would block it for about as long as the call takes.
    expect(took).toBeGreaterThan(40);
    expect(worst, `lag while ${took.toFixed(0)} ms were computed`).toBeLessThan(took / 2);

    const round = { header: { ...header, usable: 1, gain: 1e-3 }, segments: [{ slot: 0, from: 0, codes: got[0] }] };
    await Promise.all([here.apply([round]), there.apply([round])]);
    expect([there.round(), await there.checksum()]).toEqual([1, await here.checksum()]);
    await expect(there.apply([round])).rejects.toMatchObject({ code: 'JOURNAL_ORDER' });
    await expect(there.measure({ ...header, round: 7 }, 0, 1)).rejects.toMatchObject({ code: 'INTERNAL' });
    await Promise.all([here.close(), there.close()]);
  });

  test('snapshots cross threads in pieces, both ways; blocks on disk change no bit', async () => {
    const spec = { ...(await quill()), threads: 1, maxEvalSamples: 1 };
    const offloadFolder = join(tmpdir(), `murmur-offload-${process.pid}`);
    const [here, there] = [
      await threadedReplica(spec, script),
      await threadedReplica({ ...spec, offloadFolder }, script),
    ];
    const codes = await here.measure(header, 0, 4);
    expect(await there.measure(header, 0, 4)).toEqual(codes);
    const base = await snapshotOf(there);
    await here.apply([{ header: { ...header, usable: 4, gain: 1e-3 }, segments: [{ slot: 0, from: 0, codes }] }]);
    const [moved, root] = [memorySource('snapshot', await snapshotOf(here)), await here.root()];
    await expect(there.restore(1, memorySource('snapshot', base), root)).rejects.toMatchObject({
      code: 'BLOB_MISMATCH',
    });
    await there.restore(1, moved, root);
    expect([there.round(), await there.root()]).toEqual([1, root]);
    expect(equalBytes(await snapshotOf(there), await moved.read(0, moved.size))).toBe(true);
    const fault = new Fault('FILE_REFUSED', 'the disk is full');
    await expect(there.snapshot(() => Promise.reject(fault))).rejects.toMatchObject({ code: 'FILE_REFUSED' });
    expect(await there.root()).toEqual(root);
    await Promise.all([here.close(), there.close()]);
    rmSync(offloadFolder, { recursive: true });
  });

  test('a failing open gives the fault of the worker', async () => {
    const { manifest } = await quill();
    await expect(threadedReplica({ manifest, paths: {}, threads: 1 }, script)).rejects.toMatchObject({
      name: 'Fault',
      code: 'FILE_MISSING',
      detail: expect.stringMatching(/^model\.safetensors of the base/),
    });
  });

  test('close ends it at once, in the middle of whatever it does; waiting calls are told', async () => {
    for (const wait of [20, 110]) {
      const there = await threadedReplica({ ...(await quill()), threads: 2 }, script);
      const evaluating = there.evaluate();
      evaluating.catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, wait));
      await there.close();
      await expect(evaluating).rejects.toMatchObject({ code: 'INTERRUPTED' });
      await expect(there.root()).rejects.toMatchObject({ code: 'INTERRUPTED' });
      await there.close(); // twice is once
    }
  });

  test('a process that exits while its worker computes ends with its own exit code', async () => {
    const spec = JSON.stringify({ ...(await quill()), threads: 2 });
    const module = JSON.stringify(pathToFileURL('dist/peer/node/replica-thread.js').href);
    const program = `import(${module}).then(async ({ threadedReplica }) => {
      const replica = await threadedReplica(JSON.parse(process.argv[1]));
      replica.evaluate().catch(() => undefined);
      setTimeout(() => process.exit(7), 120);
    });`;
    const { status, signal, stderr } = spawnSync(process.execPath, ['-e', program, spec], {
      encoding: 'utf8',
    });
    expect([status, signal, stderr]).toEqual([7, null, '']);
  });
});

describe('a worker that dies', () => {
  const spec = async () => ({ ...(await quill()), threads: 1 });
  const options = { max_new_tokens: 1, temperature: 0, top_p: 1, stop: [], draws: [] };

  test('before it has opened: the opening fails', async () => {
    await expect(threadedReplica(await spec(), double('stillborn'))).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      detail: 'the compute thread died: not today',
    });
    await expect(threadedReplica(await spec(), double('none'))).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
  });

  test.each([
    ['throw', 'the compute thread died: out of luck'],
    ['exit', 'the compute thread has ended'],
  ])('at work (%s): every call that waits is told, and every later one', async (how, detail) => {
    const replica = await threadedReplica(await spec(), double('dies'));
    expect(await replica.generate(['answer'], options)).toEqual(['text']);
    expect(replica.round()).toBe(5);
    const silent = replica.generate(['silence'], options);
    const calls = [silent, replica.generate([how], options), replica.root()];
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'ENGINE_FAILED', detail });
    await expect(replica.evaluate()).rejects.toMatchObject({ code: 'ENGINE_FAILED', detail });
    await replica.close();
  });
});
