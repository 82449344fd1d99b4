import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Fault } from '../../../src/faults.ts';
import { interpreter } from '../../../src/graph/interpreter.ts';
import { openJournal } from '../../../src/journal/journal.ts';
import type { Entry, Round } from '../../../src/nouns.ts';
import { toHex } from '../../../src/numeric/bytes.ts';
import { referenceKernels } from '../../../src/numeric/reference/reference.ts';
import { localReplica } from '../../../src/peer/local-replica.ts';
import { blobRef, holds, locate } from '../../../src/peer/node/blobs.ts';
import { restoreLatest, saveCheckpoint } from '../../../src/peer/node/checkpoints.ts';
import { nodeCrypto } from '../../../src/peer/node/crypto.ts';
import {
  basePaths,
  beginIn,
  FILES_FILE,
  JOURNAL_FILE,
  KEY_FILE,
  openRun,
  parsePaths,
  rememberPaths,
  replay,
  requireBase,
  requireData,
  storedManifest,
} from '../../../src/peer/node/run-folder.ts';
import { openFileStore } from '../../../src/peer/node/store.ts';
import { writeWhole } from '../../../src/peer/node/write-file.ts';
import { MANIFEST, SECRET } from '../../journal/fixture.ts';
import { committed, smallLearner } from '../learner.ts';
import { snapshotOf } from '../snapshot.ts';
import { scratchFolder } from './folder.ts';
import { quill } from './quill.ts';

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

async function journalIn(folder: string, entries: readonly Entry[]): Promise<void> {
  const journal = await openJournal(await openFileStore(join(folder, JOURNAL_FILE)), nodeCrypto, SECRET);
  for (const entry of entries) await journal.append(entry);
  await journal.close();
}

describe('beginIn', () => {
  const files = [JOURNAL_FILE, KEY_FILE, FILES_FILE];

  test('makes the folder and gives what was begun', async () => {
    const folder = join(scratchFolder(), 'a', 'b');
    expect(await beginIn(folder, async () => writeFile(join(folder, KEY_FILE), 'x').then(() => 7))).toBe(7);
    expect(await readdir(folder)).toEqual([KEY_FILE]);
  });

  test('leaves nothing of a run that could not begin, not even the folders it made', async () => {
    const root = scratchFolder();
    const folder = join(root, 'a', 'b');
    const failing = beginIn(folder, async () => {
      for (const name of files) await writeFile(join(folder, name), 'half');
      throw new Fault('ENGINE_FAILED', 'no');
    });
    await expect(failing).rejects.toThrow('ENGINE_FAILED: no');
    expect(await readdir(root)).toEqual([]);
  });

  test('leaves alone what was there before', async () => {
    const folder = scratchFolder();
    await writeFile(join(folder, KEY_FILE), 'mine');
    await writeFile(join(folder, 'notes.txt'), 'mine');
    const failing = beginIn(folder, async () => {
      await writeFile(join(folder, JOURNAL_FILE), 'half');
      throw new Fault('ENGINE_FAILED', 'no');
    });
    await expect(failing).rejects.toThrow();
    expect((await readdir(folder)).sort()).toEqual([KEY_FILE, 'notes.txt']);
  });

  test('a folder that cannot be made is what the system says', async () => {
    const file = join(scratchFolder(), 'file');
    await writeFile(file, '');
    await expect(beginIn(join(file, 'out'), async () => 1)).rejects.toThrow(/ENOTDIR/);
  });
});

describe('storedManifest', () => {
  test('is undefined for no folder and for one without a journal; a file is refused', async () => {
    const folder = scratchFolder();
    expect(await storedManifest(join(folder, 'none'))).toBeUndefined();
    expect(await storedManifest(folder)).toBeUndefined();
    await writeFile(join(folder, 'file'), '');
    await expect(storedManifest(join(folder, 'file'))).rejects.toThrow(/^OUTPUT_EXISTS: .*is a file/);
  });

  test('is that of the journal, torn tail or not; another file is foreign', async () => {
    const folder = scratchFolder();
    await journalIn(folder, [{ type: 'manifest', manifest: MANIFEST }]);
    expect(await storedManifest(folder)).toEqual(MANIFEST);
    const bytes = await readFile(join(folder, JOURNAL_FILE));
    await writeFile(join(folder, JOURNAL_FILE), Buffer.concat([bytes, bytes.subarray(8, 40)]));
    expect(await storedManifest(folder)).toEqual(MANIFEST);
    await writeFile(join(folder, JOURNAL_FILE), 'something else entirely');
    await expect(storedManifest(folder)).rejects.toThrow(/^JOURNAL_FOREIGN/);
  });
});

describe('files of a run', () => {
  test('are found where they were, where the user says, and only if they are what they were', async () => {
    const folder = scratchFolder();
    const { manifest, paths } = await quill();
    await journalIn(folder, [
      { type: 'manifest', manifest: { ...manifest, coordinator: toHex(nodeCrypto.publicKey(SECRET)) } },
    ]);
    const bare = await openRun(folder);
    expect(bare.paths).toEqual({});
    expect(() => requireBase(bare)).toThrow(/^FILE_MISSING: config\.json of the base "quill".*--model$/);
    expect(() => requireData(bare)).toThrow(/^FILE_MISSING: dev\.jsonl.*--data$/);

    const given = await openRun(folder, { model: 'assets/quill', data: 'assets/demo/dev.jsonl' });
    requireBase(given);
    expect(() => requireData(given)).toThrow(/^FILE_MISSING: test\.jsonl.*--eval_data$/);
    expect(Object.keys(basePaths(given))).toHaveLength(manifest.base.files.length);

    await rememberPaths(folder, paths);
    const remembered = await openRun(join(folder, JOURNAL_FILE)); // the journal itself is as good as its folder
    requireBase(remembered);
    requireData(remembered);

    const copy = join(folder, 'copy.jsonl');
    await writeFile(copy, `${await readFile('assets/demo/dev.jsonl', 'utf8')}\n{"text": "more", "label": 1}\n`);
    await writeFile(join(folder, FILES_FILE), JSON.stringify({ ...paths, [manifest.data.train.sha256]: copy }));
    expect(() => requireBase({ ...given, paths: {} })).toThrow();
    expect((await openRun(folder)).paths).not.toHaveProperty(manifest.data.train.sha256);
  });

  test('a folder that is no run is refused, whatever is in it', async () => {
    const folder = scratchFolder();
    await expect(openRun(join(folder, 'none'))).rejects.toThrow(/^FILE_MISSING: .*holds no journal\.murmur/);
    await expect(openRun(folder)).rejects.toThrow(/^FILE_MISSING/);
    await writeFile(join(folder, JOURNAL_FILE), '');
    await expect(openRun(folder)).rejects.toThrow(/^JOURNAL_TORN/);
  });

  test('a list of files that is none is as good as no list', () => {
    for (const text of ['', 'x', 'null', '3', '"a"', '[1]', '{"a": 1}']) expect(parsePaths(text)).toBeUndefined();
    expect(parsePaths('{"a": "b"}')).toEqual({ a: 'b' });
  });

  test('blobs: what is no file is refused; what holds other bytes is not it', async () => {
    const folder = scratchFolder();
    const [a, b] = [join(folder, 'a'), join(folder, 'b')];
    await writeFile(a, 'same length');
    await writeFile(b, 'SAME LENGTH');
    const blob = await blobRef(a, 'name');
    expect(blob).toEqual({ path: 'name', bytes: 11, sha256: toHex(nodeCrypto.sha256(Buffer.from('same length'))) });
    expect([await holds(a, blob), await holds(b, blob), await holds(folder, blob)]).toEqual([true, false, false]);
    expect(await locate([blob], () => [join(folder, 'none'), b, a])).toEqual({ [blob.sha256]: a });
    expect(await locate([blob], () => [b])).toEqual({});
    await expect(blobRef(folder, '')).rejects.toThrow(/^FILE_MISSING: .*is not a file/);
    await expect(blobRef(join(folder, 'none'), '')).rejects.toThrow(/^FILE_MISSING: .*is not there/);
  });

  test('writeWhole replaces a file and leaves no draft', async () => {
    const folder = scratchFolder();
    for (const text of ['one', 'two']) await writeWhole(join(folder, 'f'), text);
    expect([await readFile(join(folder, 'f'), 'utf8'), await readdir(folder)]).toEqual(['two', ['f']]);
  });
});

/** Three rounds of a small model, and what the journal says of them. */
async function trained() {
  const learner = await smallLearner({ engine: interpreter, kernels: referenceKernels() });
  const { manifest } = learner;
  const make = async () => {
    const own = await smallLearner({ engine: interpreter, kernels: referenceKernels() });
    return localReplica(own, own.dataset.eval, nodeCrypto);
  };
  const rounds: Round[] = [0, 1, 2].map((round) => committed(manifest, round, Int8Array.of(10 + round, -20, 33)));
  const replica = await make();
  const roots = [await replica.root()];
  for (const round of rounds) {
    await replica.apply([round]);
    roots.push(await replica.root());
  }
  return { replica, make, rounds, roots };
}

describe('replay', () => {
  test('applies rounds and compares every digest, up to where it is asked', async () => {
    const { make, rounds, roots } = await trained();
    const records = rounds.map((round) => ({ entry: { type: 'round', round } }));
    const run = (digests: Map<number, Uint8Array>) =>
      ({ records, ledger: { round: 3, digests } }) as unknown as Parameters<typeof replay>[0];
    const all = new Map(roots.entries());
    const seen: number[] = [];
    const replica = await make();
    await replay(run(all), replica, undefined, (round) => seen.push(round));
    expect(seen).toEqual([0, 1, 2, 3]);
    expect(await replica.root()).toEqual(roots[3]);

    const half = await make();
    await replay(run(new Map(all).set(3, new Uint8Array(32))), half, 2);
    expect([half.round(), await half.root()]).toEqual([2, roots[2]]);
    await replay(run(all), half, 3);
    expect(await half.root()).toEqual(roots[3]);

    for (const wrong of [0, 2, 3]) {
      const bad = replay(run(new Map(all).set(wrong, new Uint8Array(32))), await make());
      await expect(bad).rejects.toThrow(new RegExp(`^DRIFT: after round ${wrong} the weights are [0-9a-f]{64}`));
    }
  });
});

describe('checkpoints', () => {
  test('the latest is restored; it and the one before it are kept', async () => {
    const folder = scratchFolder();
    const { replica, make, roots, rounds } = await trained();
    const digests = new Map(roots.entries());
    for (const round of [1, 2]) {
      const earlier = await make();
      await earlier.apply(rounds.slice(0, round));
      await saveCheckpoint(folder, { round, leaves: await earlier.leaves() }, earlier.snapshot);
    }
    const leaves = await replica.leaves();
    const saved = await saveCheckpoint(folder, { round: 3, leaves }, replica.snapshot);
    expect(await readdir(folder)).toEqual(['checkpoint-2', 'checkpoint-3']);
    expect(saved).toEqual({ round: 3, leaves, path: join(folder, 'checkpoint-3/weights.q32') });
    const fresh = await make();
    expect((await restoreLatest(fresh, folder, digests))?.round).toBe(3);
    expect([fresh.round(), await fresh.root()]).toEqual([3, roots[3]]);
  });

  test('one that is damaged, half written or unknown to the journal is passed over: they carry no authority', async () => {
    const folder = scratchFolder();
    const { replica, make, roots } = await trained();
    const snapshot = await snapshotOf(replica);
    const put = async (round: number, bytes?: Uint8Array) => {
      await mkdir(join(folder, `checkpoint-${round}`));
      if (bytes) await writeFile(join(folder, `checkpoint-${round}`, 'weights.q32'), bytes);
    };
    const digests = new Map([3, 5, 6, 7].map((round) => [round, roots[3]!] as const));
    await put(3, snapshot);
    await put(5, snapshot.subarray(0, 100));
    await put(6); // killed between making the folder and the file
    await put(
      7,
      snapshot.map((byte) => byte ^ 1),
    );
    await put(9, snapshot); // no digest
    await mkdir(join(folder, 'checkpoint-last'));
    const fresh = await make();
    expect((await restoreLatest(fresh, folder, digests))?.round).toBe(3);
    expect([fresh.round(), await fresh.root()]).toEqual([3, roots[3]]);
    await rm(join(folder, 'checkpoint-3'), { recursive: true });
    const base = await make();
    expect(await restoreLatest(base, folder, digests)).toBeUndefined();
    expect([base.round(), await base.root()]).toEqual([0, roots[0]]);
    expect(await restoreLatest(base, join(folder, 'none'), digests)).toBeUndefined();
    expect(await exists(join(folder, 'checkpoint-9'))).toBe(true);
  });
});
