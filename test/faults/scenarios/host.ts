/** The host dies at each step of a round, freezes, is stopped, or is started twice. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert, expect } from 'vitest';
import { JOURNAL_FILE, PENDING_FILE } from '../../../src/peer/node/run-folder.ts';
import type { Line, Running } from '../../swarm/processes.ts';
import { atRound, journalOf, place, type Settings } from '../../swarm/run.ts';
import { type FilePoint, meeting } from '../points.ts';
import type { Scenario } from '../scenario.ts';
import { type Ending, message, SMALL, type Stage, type Staging, stage, told, upon } from '../stage.ts';

const two = (at: Stage): Running[] => [at.peer('one'), at.peer('two')];

/** A host that dies, when `moment` has come; peers find the next one where it was. */
async function killed(moment: (at: Stage, peers: readonly Running[]) => Promise<unknown>, staging: Staging = {}) {
  const at = await stage(staging);
  const peers = two(at);
  await moment(at, peers);
  at.host.kill('SIGKILL');
  expect((await at.host.exit()).signal).toBe('SIGKILL');
  const before = journalOf(at.out);
  const host = at.resume();
  const ending = await at.end(host, peers);
  const { bytes } = journalOf(at.out);
  if (!before.torn) expect(bytes.subarray(0, before.bytes.length), 'what was committed stays').toEqual(before.bytes);
  return ending;
}

/** When the host says so. */
const upTo =
  (holds: (line: Line) => boolean) =>
  (at: Stage): Promise<unknown> =>
    at.host.waitFor(holds);

/** A host that dies by itself at one call, and is started again. */
async function diesAt(point: FilePoint, settings: Settings = {}): Promise<Ending> {
  const at = await stage({ settings, how: meeting(point) });
  const peers = two(at);
  expect((await at.host.exit()).signal, 'it came to that call').toBe('SIGKILL');
  return at.end(at.resume(), peers);
}

/** The same before there is a link. */
async function diesAtFirst(point: FilePoint): Promise<Ending> {
  const at = place();
  expect((await at.host(SMALL, meeting(point)).exit()).signal, 'it came to that call').toBe('SIGKILL');
  const later = await stage({ at });
  return later.end(later.host, two(later));
}

const SAVING: Settings = { save_steps: 10 };

export const HOST: readonly Scenario[] = [
  {
    fault: 'the host is killed while it writes the first record',
    play: () => diesAtFirst({ file: JOURNAL_FILE, call: 'datasync', nth: 1, what: 'die before' }),
  },
  {
    fault: 'the host loses power while it writes the first record',
    play: () => diesAtFirst({ file: JOURNAL_FILE, call: 'datasync', nth: 1, what: 'lose power' }),
  },
  {
    fault: 'the host is killed right after its start',
    play: () => killed(upTo(told('link'))),
  },
  {
    fault: 'the host is killed while it waits for a second peer',
    async play() {
      const at = await stage();
      const first = at.peer('one');
      await first.waitFor(told('ready'));
      at.host.kill('SIGKILL');
      await at.host.exit();
      return at.end(at.resume(), [first, at.peer('two')]);
    },
  },
  {
    fault: 'the host is killed when it has opened a round',
    play: () => killed((at) => upon(at.line, message('open', 5))),
  },
  {
    fault: 'the host is killed when half of a round is receipted',
    async play() {
      const at = await stage();
      const line = await at.lineTo();
      const peers = [at.peer('one'), at.peer('two', { over: line })];
      // What the second one says is kept back, so that the round stays open.
      const held = upon(line, message('contribution', 5), 'lose');
      await held;
      await upon(at.line, message('receipt', 5)).catch(() => undefined);
      at.host.kill('SIGKILL');
      await at.host.exit();
      return at.end(at.resume(), peers);
    },
  },
  {
    fault: 'the host is killed between a contribution and its fsync',
    play: () => diesAt({ file: PENDING_FILE, call: 'datasync', nth: 15, what: 'die before' }),
  },
  {
    fault: 'the host is killed between the fsync of a contribution and its receipt',
    play: () => diesAt({ file: PENDING_FILE, call: 'datasync', nth: 15, what: 'die after' }),
  },
  {
    fault: 'the host loses power before the fsync of a contribution: half of it is on the disk',
    play: () => diesAt({ file: PENDING_FILE, call: 'datasync', nth: 15, what: 'lose power' }),
  },
  {
    fault: 'the host is killed between a commit and its fsync',
    play: () => diesAt({ file: JOURNAL_FILE, call: 'datasync', nth: 12, what: 'die before' }),
  },
  {
    fault: 'the host is killed between the fsync of a commit and its broadcast',
    play: () => diesAt({ file: JOURNAL_FILE, call: 'datasync', nth: 12, what: 'die after' }),
  },
  {
    fault: 'the host loses power before the fsync of a commit: half of it is on the disk',
    play: () => diesAt({ file: JOURNAL_FILE, call: 'datasync', nth: 12, what: 'lose power' }),
  },
  {
    fault: 'the host is killed before it has emptied what it kept of a round',
    play: () => diesAt({ file: PENDING_FILE, call: 'truncate', nth: 8, what: 'die before' }),
  },
  {
    fault: 'the host is killed while it evaluates',
    play: () => killed(upTo(atRound('round', 10)), { settings: { eval_steps: 10 } }),
  },
  {
    fault: 'the host is killed while it saves a checkpoint',
    play: () => diesAt({ file: '.weights.q32.part', call: 'writeFile', nth: 2, what: 'die before' }, SAVING),
  },
  {
    fault: 'the host is killed when a checkpoint is written and not yet in its place',
    play: () => diesAt({ file: '.weights.q32.part', call: 'sync', nth: 1, what: 'die after' }, SAVING),
  },
  {
    fault: 'the host is killed after the last round, before it says that the run is done',
    play: () => killed(upTo(atRound('round', 40))),
  },
  {
    fault: 'the host is killed when the last digest is written; its peers need it no more',
    async play() {
      const at = await stage();
      const peers = two(at);
      await Promise.all(peers.map((peer) => peer.waitFor(atRound('round', 40))));
      await at.host.waitFor(told('digest', { round: 40 }));
      at.host.kill('SIGKILL');
      await at.host.exit();
      return at.end(at.resume(), peers);
    },
  },
  {
    fault: 'the host is killed five times in one run',
    async play() {
      const at = await stage();
      const peers = two(at);
      let host = at.host;
      for (const round of [3, 9, 15, 21, 27]) {
        await host.waitFor(atRound('round', round));
        host.kill('SIGKILL');
        await host.exit();
        host = at.resume();
      }
      return at.end(host, peers);
    },
  },
  {
    fault: 'the host is frozen (SIGSTOP) for five seconds in the middle of a round',
    async play() {
      const at = await stage();
      const peers = two(at);
      await upon(at.line, message('contribution', 5));
      at.host.kill('SIGSTOP');
      await new Promise((over) => setTimeout(over, 5000));
      at.host.kill('SIGCONT');
      const ending = await at.end(at.host, peers);
      expect(peers.flatMap(({ lines }) => lines.filter(told('disconnected')))).toEqual([]);
      return ending;
    },
  },
  {
    fault: 'the host is frozen for longer than its peers have patience: they give up, and are started again',
    async play() {
      const at = await stage();
      const flags = ['--patience', '1'];
      const peers = [at.peer('one', { flags }), at.peer('two', { flags })];
      await at.host.waitFor(atRound('round', 5));
      at.host.kill('SIGSTOP');
      for (const peer of peers)
        expect(await peer.exit()).toMatchObject({ code: 1, done: { error: { code: 'HOST_UNREACHABLE' } } });
      at.host.kill('SIGCONT');
      return at.end(at.host, two(at));
    },
  },
  {
    fault: 'the host is stopped (Ctrl+C), and started again by the same command',
    async play() {
      const at = await stage();
      const peers = two(at);
      await at.host.waitFor(atRound('round', 5));
      at.host.kill('SIGINT');
      expect(await at.host.exit()).toMatchObject({ code: 130, done: { error: { code: 'INTERRUPTED' } } });
      return at.end(at.resume(), peers);
    },
  },
  {
    fault: 'a second host on the folder of one that runs',
    async play() {
      const at = await stage();
      const second = await at.resume({ port: 0 }).exit();
      expect(second).toMatchObject({ code: 1, done: { error: { code: 'JOURNAL_LOCKED' } } });
      return at.end(at.host, two(at));
    },
  },
  {
    fault: 'a lock is left over whose process id belongs to something else now',
    async play() {
      const at = await stage();
      const peers = two(at);
      await at.host.waitFor(atRound('round', 5));
      at.host.kill('SIGKILL');
      await at.host.exit();
      const lock = join(at.out, `${JOURNAL_FILE}.lock`);
      assert(existsSync(lock), 'kill -9 leaves it');
      const killed = readFileSync(lock, 'utf8');
      writeFileSync(lock, `${process.pid}\n`);
      const refused = await at.resume().exit();
      expect(refused.stderr).toMatch(/JOURNAL_LOCKED: process \d+ is writing .*; stop it, or delete .*lock/);
      writeFileSync(lock, killed);
      return at.end(at.resume(), peers);
    },
  },
];
