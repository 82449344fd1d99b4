/**
 * `murmur doctor`: whether this machine can take part, and whether a host can be reached from it; each finding with what
 * to do about it.
 *
 * @module
 */
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { Fault } from '../faults.ts';
import type { Check, Readings } from '../peer/checks.ts';
import { checkClock, checkDisk, checkEngine, checkMemory, checkNode } from '../peer/node/machine.ts';
import { reach } from '../peer/node/reach.ts';
import { systemClock, systemEntropy } from '../peer/node/system.ts';
import { type Argv, flagsOf } from './args.ts';
import { cacheOf } from './prepare.ts';
import type { Io } from './verb.ts';

export const usage: string = `doctor [link] [flags]

Looks at this machine: Node, memory, clock, disk, and whether its device computes as it must. With the link of a run,
also whether its host can be reached from here, step by step: name, port, certificate, HTTP, WebSocket, greeting. Says
for each what to do, and ends with an error if something must be mended first.
  murmur doctor
  murmur doctor http://192.168.1.20:7777/join/kq3…`;

const own = z.strictObject({
  output_dir: z.string().min(1).default('out').describe('Folder whose disk is looked at: where a run would be.'),
  threads: z.int().min(1).max(1024).optional().describe('Threads to compute with. Default: all cores.'),
});
export const flags: z.ZodObject = own;

export async function run(argv: Argv, { output, env }: Io): Promise<Readonly<Record<string, unknown>>> {
  const given = flagsOf(own, argv);
  const [link, ...more] = argv.words;
  if (more.length > 0) throw new Fault('CONFIG_INVALID', 'doctor: takes one link, or none');
  const found: Check[] = [];
  for await (const check of checksOf(link, given, env)) {
    found.push(check);
    output.event({ event: 'check', ...check });
  }
  const failed = found.filter(({ state }) => state === 'fail');
  if (failed.length > 0)
    throw new Fault(
      'CHECK_FAILED',
      `${failed.map(({ check }) => check).join(', ')}: ${failed.length} of ${found.length} must be mended first, as said above`,
    );
  return { checks: found.length, warnings: found.filter(({ state }) => state === 'warn').length };
}

async function* checksOf(
  link: string | undefined,
  { output_dir, threads = availableParallelism() }: z.output<typeof own>,
  env: Io['env'],
): AsyncGenerator<Check> {
  const { now } = systemClock;
  const readings = { steady: [] as number[], wall: [] as number[] } satisfies Readings;
  const read = (): void => {
    readings.steady.push(now());
    readings.wall.push(Date.now());
  };
  read();
  yield checkNode(process.versions.node);
  yield checkMemory(process.availableMemory(), availableParallelism());
  yield checkDisk('output_dir', output_dir, now);
  read();
  yield checkDisk('cache', cacheOf(env), now);
  yield* checkEngine(async () => (await import('../engine/node.ts')).nodeEngine({ threads }), now);
  read();
  yield checkClock(readings);
  if (link === undefined) return;
  const proxied = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy'].some((name) => env[name]);
  yield* reach(link, { proxied, key: systemEntropy(32), now, date: () => new Date() });
}
