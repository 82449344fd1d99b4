/** Disks that are full, read-only or torn; bytes that are no longer what they were. */
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert, expect } from 'vitest';
import type { FaultCode } from '../../../src/faults.ts';
import { JOURNAL_FILE, PENDING_FILE } from '../../../src/peer/node/run-folder.ts';
import { readKept } from '../../../src/peer/pending.ts';
import { eventually, type Running } from '../../swarm/processes.ts';
import { atRound, journalOf, place, type Settings } from '../../swarm/run.ts';
import { disk } from '../mount.ts';
import { type FilePoint, meeting } from '../points.ts';
import type { Scenario } from '../scenario.ts';
import { type Ending, message, type Stage, stage, told, upon } from '../stage.ts';

const two = (at: Stage): Running[] => [at.peer('one'), at.peer('two')];

/** Ends with this fault, said in one line. */
async function refused(running: Running, code: FaultCode, words: RegExp): Promise<void> {
  const exit = await running.exit();
  expect(exit.stderr).toMatch(/^murmur: [^\n]*\n$/);
  expect(exit.stderr).toMatch(words);
  expect(exit).toMatchObject({ code: 1, done: { error: { code } } });
}

/** The disk of a host fills up at one call; when there is room, the same command goes on. */
async function fills(point: Omit<FilePoint, 'what'>, settings: Settings = {}): Promise<Ending> {
  const at = await stage({ settings, how: meeting({ ...point, what: 'fill up' }) });
  const peers = two(at);
  await refused(at.host, 'FILE_REFUSED', /murmur: FILE_REFUSED: \S+ does not fit on the disk; make room/);
  expect(journalOf(at.out).torn, 'nothing half written').toBe(false);
  expect(halves(at.out), 'nothing half written').toEqual([]);
  return at.end(at.resume(), peers);
}

/** Drafts of files, and folders of checkpoints with nothing in them. */
const halves = (out: string): string[] =>
  (readdirSync(out, { recursive: true, encoding: 'utf8' }) as string[]).filter((name) => name.endsWith('.part'));

/** A host that is killed in the middle of a run, so that its folder can be done something to. */
async function interrupted(settings: Settings = {}, round = 12): Promise<{ at: Stage; peers: Running[] }> {
  const at = await stage({ settings });
  const peers = two(at);
  await at.host.waitFor(atRound('round', round));
  at.host.kill('SIGKILL');
  await at.host.exit();
  return { at, peers };
}

/** Flips a bit of a file. @param at from its end, if negative. */
function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  writeFileSync(path, bytes);
}

export const DISK: readonly Scenario[] = [
  {
    fault: 'the disk is full at a commit',
    play: () => fills({ file: JOURNAL_FILE, call: 'write', nth: 12 }),
  },
  {
    fault: 'the disk is full at a contribution',
    play: () => fills({ file: PENDING_FILE, call: 'write', nth: 15 }),
  },
  {
    fault: 'the disk is full at a checkpoint',
    play: () => fills({ file: '.weights.q32.part', call: 'writeFile', nth: 2 }, { save_steps: 10 }),
  },
  {
    fault: 'a real disk of its own is full: of 64 kB, the journal has taken what was left',
    needs: 'mount',
    async play() {
      const small = disk(64);
      const filler = join(small.folder, 'filler');
      const at = await stage({ at: place(undefined, join(small.folder, 'out')), settings: { max_steps: 60 } });
      const peers = two(at);
      await at.host.waitFor(atRound('round', 5));
      fillUp(filler);
      await refused(at.host, 'FILE_REFUSED', /does not fit on the disk; make room/);
      expect(journalOf(at.out).torn, 'nothing half written').toBe(false);
      small.remount('size=8m');
      return at.end(at.resume(), peers);
    },
  },
  {
    fault: 'files may not grow any further (ulimit -f)',
    async play() {
      const at = await stage({ settings: { max_steps: 80 }, how: { under: "trap '' XFSZ; ulimit -f 8" } });
      const peers = two(at);
      await refused(at.host, 'FILE_REFUSED', /journal\.murmur may not grow/);
      expect(journalOf(at.out).torn, 'nothing half written').toBe(false);
      return at.end(at.resume(), peers);
    },
  },
  {
    fault: 'the disk becomes read-only between two starts',
    needs: 'mount',
    async play() {
      const own = disk(8192);
      const at = await stage({ at: place(undefined, join(own.folder, 'out')) });
      const peers = two(at);
      await at.host.waitFor(atRound('round', 5));
      at.host.kill('SIGKILL');
      await at.host.exit();
      own.remount('ro');
      await refused(at.resume(), 'FILE_REFUSED', /cannot be written; name another folder/);
      own.remount('rw');
      return at.end(at.resume(), peers);
    },
  },
  {
    fault: 'the disk of a peer is full while it fetches the model',
    async play() {
      const at = await stage();
      const one = at.peer('one');
      const model = Object.entries(
        JSON.parse(readFileSync(join(at.out, 'files.json'), 'utf8')) as Record<string, string>,
      );
      const [hash] = model.find(([, path]) => path.endsWith('model.safetensors'))!;
      const point: FilePoint = { file: `${hash}.part`, call: 'appendFile', nth: 1, what: 'fill up' };
      const full = at.peer('two', { files: false, ...meeting(point) });
      await refused(full, 'FILE_REFUSED', /does not fit on the disk; make room/);
      return at.end(at.host, [one, at.peer('two', { files: false })]);
    },
  },
  {
    fault: 'the journal has a torn tail',
    async play() {
      const { at, peers } = await interrupted();
      const { bytes, offsets } = journalOf(at.out);
      const last = bytes.subarray(offsets.at(-1));
      appendFileSync(join(at.out, JOURNAL_FILE), last.subarray(0, last.length >> 1));
      expect(journalOf(at.out).torn).toBe(true);
      return at.end(at.resume(), peers);
    },
  },
  {
    fault: 'a bit of the journal is flipped: refused by name, and with the bit set right the run goes on',
    async play() {
      const { at, peers } = await interrupted();
      const path = join(at.out, JOURNAL_FILE);
      const { offsets } = journalOf(at.out);
      flip(path, offsets[5]! + 20);
      await refused(at.resume(), 'JOURNAL_CORRUPT', new RegExp(`record 5 at byte ${offsets[5]} `));
      flip(path, offsets[5]! + 20);
      return at.end(at.resume(), peers);
    },
  },
  {
    fault:
      'a bit of what was receipted and not committed is flipped: refused by name, and with it set right the run goes on',
    async play() {
      const at = await stage({ settings: { min_peers: 3 } });
      const line = await at.lineTo();
      const peers = [at.peer('one'), at.peer('two'), at.peer('three', { over: line })];
      await upon(line, message('contribution', 5), 'lose');
      const path = join(at.out, PENDING_FILE);
      await eventually('two contributions are kept', () => readKept(readFileSync(path)).length === 2);
      at.host.kill('SIGKILL');
      await at.host.exit();
      flip(path, 30);
      await refused(at.resume(), 'JOURNAL_CORRUPT', /contribution 0 of pending\.murmur/);
      flip(path, 30);
      return at.end(at.resume(), peers);
    },
  },
  {
    fault: 'what was kept of a round has a torn tail',
    async play() {
      const { at, peers } = await interrupted();
      appendFileSync(join(at.out, PENDING_FILE), Uint8Array.of(80, 0, 0, 0, 1, 2, 3));
      return at.end(at.resume(), peers);
    },
  },
  {
    fault: 'a checkpoint is damaged: the journal makes its weights again',
    async play() {
      const { at, peers } = await interrupted({ save_steps: 10, max_steps: 40 }, 22);
      flip(join(at.out, 'checkpoint-20', 'weights.q32'), 5000);
      return at.end(at.resume(), peers);
    },
  },
  {
    fault: 'a checkpoint is cut short',
    async play() {
      const { at, peers } = await interrupted({ save_steps: 10, max_steps: 40 }, 22);
      const path = join(at.out, 'checkpoint-20', 'weights.q32');
      writeFileSync(path, readFileSync(path).subarray(0, 1000));
      return at.end(at.resume(), peers);
    },
  },
  {
    fault: 'a file that a peer has fetched is damaged on its disk: it is fetched again',
    async play() {
      const at = await stage({ settings: { max_steps: 100 } });
      const one = at.peer('one');
      const two = at.peer('two', { files: false });
      await two.waitFor(told('ready'));
      two.kill('SIGKILL');
      await two.exit();
      const blobs = join(at.folder, 'two-cache', 'murmur', 'blobs');
      assert(existsSync(blobs));
      for (const name of readdirSync(blobs)) flip(join(blobs, name), 1000);
      return at.end(at.host, [one, at.peer('two', { files: false })]);
    },
  },
];

/** Writes until nothing more fits. */
function fillUp(path: string): void {
  const bytes = new Uint8Array(512);
  try {
    for (;;) appendFileSync(path, bytes);
  } catch (error) {
    assert((error as NodeJS.ErrnoException).code === 'ENOSPC');
  }
}
