/**
 * `npm run study:nats`: how long a run on three NATS servers and two coordinators stands still when a part of it dies, with
 * real servers and processes on this machine; afterwards both copies of the journal must be valid, and of one history.
 * Table: docs/DEPLOY.md.
 *
 *     npm run study:nats -- --repeat 3
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { flagsOf, machine, markdown, median, root } from './harness.mjs';

const { repeat } = flagsOf({ repeat: 3 });
const folder = mkdtempSync(join(tmpdir(), 'murmur-nats-study-'));
const found = join(folder, 'found.jsonl');
writeFileSync(found, '');
try {
  const argv = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.nats.config.ts'];
  const env = { ...process.env, PAUSES_FOUND: found, PAUSES_REPEAT: String(repeat) };
  process.exitCode = spawnSync(process.execPath, argv, { cwd: root, stdio: 'inherit', env }).status ?? 1;
  const runs = readFileSync(found, 'utf8').split('\n').filter(Boolean).map(JSON.parse);
  const seconds = (ms) => (ms / 1000).toPrecision(2);
  const rows = [...new Set(runs.map(({ what }) => what))].map((what) => {
    const pauses = runs.filter((run) => run.what === what).map((run) => run.pause);
    return {
      ...{ 'what dies': what, runs: pauses.length, 'pause, s': seconds(median(pauses)) },
      'from, to': `${seconds(Math.min(...pauses))}, ${seconds(Math.max(...pauses))}`,
    };
  });
  console.log(`\n${machine()}; a round takes ${median(runs.map(({ usual }) => usual))} ms\n\n${markdown(rows)}`);
} finally {
  rmSync(folder, { recursive: true });
}
