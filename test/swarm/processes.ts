/** The built command as real processes: their lines as they come, signals, and an end for each with its test. */
import { AssertionError } from 'node:assert';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { assert, onTestFinished } from 'vitest';

/** One line of `--json`. */
export interface Line {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last line. */
  readonly done: Line | undefined;
  readonly stderr: string;
}

export interface Running {
  readonly pid: number;
  /** All lines so far. */
  readonly lines: readonly Line[];
  /** The first line that holds, past ones included; fails when the process ends without it. */
  waitFor(holds: (line: Line) => boolean, timeoutMs?: number): Promise<Line>;
  kill(signal: NodeJS.Signals): void;
  /** Fails if it does not end in time. */
  exit(timeoutMs?: number): Promise<Exit>;
}

/** Far beyond what anything here takes: a busy machine is no failure. */
const PATIENCE_MS = 120_000;

const COMMAND = resolve('bin/murmur.js');

/** A new folder that is removed after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-swarm-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface How {
  readonly env?: Readonly<Record<string, string>>;
  /** Shell commands to run in its place first: limits that the process then has. */
  readonly under?: string;
}

/** Starts `murmur … --json`. It is killed after the test if it still runs, and so are the peers it started. */
export function murmur(argv: readonly string[], { env = {}, under }: How = {}): Running {
  const command = [process.execPath, COMMAND, ...argv, '--json'];
  const [file, ...args] = under === undefined ? command : ['sh', '-c', `${under}; exec "$@"`, 'sh', ...command];
  const child = spawn(file!, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  const lines: Line[] = [];
  let stderr = '';
  let exit: Exit | undefined;
  const wakers = new Set<() => void>();
  const wake = (): void => {
    for (const waker of [...wakers]) waker();
  };
  child.stderr.on('data', (data) => {
    stderr += String(data);
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line) as Line);
    wake();
  });
  const ended = new Promise<void>((over) =>
    child.once('close', (code, signal) => {
      exit = { code, signal, done: lines.at(-1)?.event === 'done' ? lines.at(-1) : undefined, stderr };
      wake();
      over();
    }),
  );
  onTestFinished(async () => {
    if (exit === undefined) child.kill('SIGKILL');
    await ended;
    if (exit?.signal !== 'SIGKILL') return; // it has ended its peers
    for (const { event, pid } of lines)
      if (event === 'started' && isAlive(Number(pid))) process.kill(Number(pid), 'SIGKILL');
  });

  /** Until `find` gives something. */
  const until = <T>(what: string, find: () => T | undefined, timeoutMs: number): Promise<T> =>
    new Promise((found, failed) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        wakers.delete(look);
        act();
      };
      const look = (): void => {
        const value = find();
        if (value !== undefined) settle(() => found(value));
        else if (exit !== undefined) settle(() => failed(broken(`ended without ${what}`)));
      };
      const timer = setTimeout(() => settle(() => failed(broken(`no ${what} in ${timeoutMs} ms`))), timeoutMs);
      wakers.add(look);
      look();
    });
  const broken = (detail: string): unknown => {
    const tail = lines.slice(-12).map((line) => JSON.stringify(line));
    return new AssertionError({ message: `murmur ${argv[0]}: ${detail}\n${tail.join('\n')}\n${stderr}` });
  };
  return {
    pid: child.pid!,
    lines,
    waitFor: (holds, ms = PATIENCE_MS) => until(`line with ${holds}`, () => lines.find(holds), ms),
    kill: (signal) => child.kill(signal),
    exit: (ms = PATIENCE_MS) => until('exit', () => exit, ms),
  };
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Looks again and again at what no event tells. */
export async function eventually(what: string, holds: () => boolean, timeoutMs = PATIENCE_MS): Promise<void> {
  for (const end = performance.now() + timeoutMs; !holds(); ) {
    assert(performance.now() < end, `not within ${timeoutMs} ms: ${what}`);
    await new Promise((next) => setTimeout(next, 20));
  }
}
