/**
 * Whether this machine can take part: Node, memory, clock, disk and device, each with what to do where it cannot.
 *
 * @module
 */
import { open, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { formatBytes } from '../../figures.ts';
import { GraphBuilder } from '../../graph/graph.ts';
import type { Engine } from '../../ports.ts';
import { type Check, checked, type Readings } from '../checks.ts';
import { checkDevice } from '../known-answer.ts';
import { fileRefusal } from './file-refusal.ts';

/** As package.json asks. */
const LEAST_NODE = [20, 19] as const;

/** @param version as `process.versions.node` */
export function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [least, lesser] = LEAST_NODE;
  const will = major > least || (major === least && minor >= lesser);
  return checked('node', will ? 'ok' : 'fail', version, `install Node ${least}.${lesser} or later from nodejs.org`);
}

/** The package's own model takes 0.2 GB with its runtime. */
const LITTLE_MEMORY = 5e8;
const SOME_MEMORY = 2e9;

/** @param available bytes that a new process may have. */
export function checkMemory(available: number, cores: number): Check {
  const state = available < LITTLE_MEMORY ? 'fail' : available < SOME_MEMORY ? 'warn' : 'ok';
  const found = `${formatBytes(available)} free, ${cores} ${cores === 1 ? 'core' : 'cores'}`;
  return checked(
    'memory',
    state,
    found,
    'end what takes memory, or keep blocks of a model on a disk: --offload_folder',
  );
}

/** What a clock of the day may be set by while nobody looks. */
const MOST_SLEW = 500;

export function checkClock({ steady, wall }: Readings): Check {
  const back = steady.some((at, i) => i > 0 && at < steady[i - 1]!);
  const stands = steady.at(-1) === steady[0];
  const drift = wall.at(-1)! - wall[0]! - (steady.at(-1)! - steady[0]!);
  const state = back || stands ? 'fail' : Math.abs(drift) > MOST_SLEW ? 'warn' : 'ok';
  const found = back
    ? 'it runs backwards'
    : stands
      ? 'it stands'
      : state === 'ok'
        ? 'steady'
        : `the time of day was moved by ${Math.round(drift)} ms meanwhile`;
  return checked(
    'clock',
    state,
    found,
    'a virtual machine may need another clock source; let one program set the time',
  );
}

const LITTLE_SPACE = 1e8;
const SOME_SPACE = 2e9;
/** A round waits for the disk twice: milliseconds. */
const SLOW_SYNC = 50;
const SYNCS = 16;
const BLOCK = 4096;

/** Free space, and how long a write takes to be there for good, where `folder` is or would be made. */
export async function checkDisk(check: string, folder: string, now: () => number): Promise<Check> {
  const place = await existing(resolve(folder));
  const probe = join(place, `.murmur-doctor-${process.pid}`);
  try {
    const { bavail, bsize } = await statfs(place);
    const sync = await syncMs(probe, now);
    const free = bavail * bsize;
    const found = `${place}: ${formatBytes(free)} free, ${sync.toFixed(1)} ms to sync`;
    if (free < SOME_SPACE)
      return checked(
        check,
        free < LITTLE_SPACE ? 'fail' : 'warn',
        found,
        'make room, or name a folder on another disk',
      );
    return checked(
      check,
      sync > SLOW_SYNC ? 'warn' : 'ok',
      found,
      'every round waits for it: name a folder on a local disk',
    );
  } catch (error) {
    const fault = fileRefusal(error, place);
    if (fault === undefined) throw error;
    return checked(check, 'fail', fault.detail, 'name a folder that this user may write to');
  } finally {
    await rm(probe, { force: true }).catch(() => undefined); // where no file can be, none was made
  }
}

/** The folder, or the nearest above it that is there. */
async function existing(folder: string): Promise<string> {
  const found = await stat(folder).catch(() => undefined);
  return found !== undefined || dirname(folder) === folder ? folder : existing(dirname(folder));
}

/** Median milliseconds of a small write and its sync. */
async function syncMs(path: string, now: () => number): Promise<number> {
  const file = await open(path, 'w');
  try {
    const times: number[] = [];
    for (let i = 0; i < SYNCS; i++) {
      const began = now();
      await file.write(new Uint8Array(BLOCK));
      await file.sync();
      times.push(now() - began);
    }
    return times.sort((a, b) => a - b)[SYNCS / 2]!;
  } finally {
    await file.close();
  }
}

/** A device that must give known answers before it may join, and how fast it multiplies. @param load brings the runtime. */
export async function* checkEngine(load: () => Promise<Engine>, now: () => number): AsyncGenerator<Check> {
  const attempt = async (check: string, remedy: string, work: () => Promise<Check>): Promise<Check> =>
    work().catch((error: unknown) =>
      checked(check, 'fail', error instanceof Error ? error.message.split('\n')[0]! : String(error), remedy),
    );
  let engine: Engine | undefined;
  yield attempt('runtime', 'repeat "npm install" on this machine: it has a build for this system', async () => {
    engine = await load();
    return checked('runtime', 'ok', engine.name, '');
  });
  if (engine === undefined) return;
  const device = engine;
  yield attempt('known answers', 'it would be refused by every run: take another machine', async () => {
    await checkDevice(device);
    return checked('known answers', 'ok', 'bits, losses and slopes are as they must be', '');
  });
  yield attempt('speed', 'repeat "npm install" on this machine', async () => {
    const flops = await speedOf(device, now);
    const seconds = FLOPS_OF_PROBE / flops;
    const found = `${(flops / 1e9).toFixed(0)} GFLOP/s: ${seconds.toPrecision(2)} s for a gradient of 64 tokens at 100 M weights`;
    return checked(
      'speed',
      seconds > 10 ? 'warn' : 'ok',
      found,
      'it may take part, and others will wait for little of it',
    );
  });
}

/** Two passes of 64 tokens through 100 M weights, a multiplication and an addition for each. */
const FLOPS_OF_PROBE = 2 * 64 * 2 * 100e6;
const [ROWS, WIDTH] = [64, 1024] as const;
const PRODUCTS = 12;

/** Floating point operations a second, of a product as models are made of; the best of some. */
async function speedOf(engine: Engine, now: () => number): Promise<number> {
  const g = new GraphBuilder('speed');
  g.output('y', g.linear(g.input('x', [ROWS, WIDTH]), g.input('w', [WIDTH, WIDTH])));
  const program = await engine.compile(g.build());
  try {
    const feeds = { x: new Float32Array(ROWS * WIDTH).fill(1), w: new Float32Array(WIDTH * WIDTH).fill(1) };
    const outputs = { y: new Float32Array(ROWS * WIDTH) };
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < PRODUCTS; i++) {
      const began = now();
      await program.run(feeds, outputs);
      least = Math.min(least, now() - began);
    }
    return (2 * ROWS * WIDTH * WIDTH) / (Math.max(least, 1e-3) / 1000);
  } finally {
    await program.release();
  }
}
