/**
 * `npm run study:faults`: every scenario of test/faults, real processes behind a proxy that misbehaves, one after the
 * other; then docs/RELIABILITY.md from what is kept in bench/results: the scenarios, and the simulation's summary.
 *
 *     node bench/faults.mjs [--only <part of a group or fault>] [--repeat 3] [--page]
 *
 * What is run replaces what was kept of the same faults. --page runs nothing and writes the page.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machine, markdown, root, spread } from './harness.mjs';

const RESULTS = join(root, 'bench/results');
const KEPT = join(RESULTS, 'faults.json');
/** Of what `npm run simulate -- --out bench/results/simulation.json` writes, in one file or several. */
const SIMULATED = [
  'seeds',
  'rounds',
  'acknowledged',
  'crashes',
  'host_crashes',
  'cuts',
  'partitions',
  'lost',
  'seconds',
];
const PAGE = join(root, 'docs/RELIABILITY.md');

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    repeat: { type: 'string', default: '1' },
    page: { type: 'boolean', default: false },
  },
});

/**
 * @typedef {{ group: string, fault: string, order: number, held: boolean, seconds: number, why?: string,
 *   rounds?: number, acknowledged?: number, lost?: number, peers?: number }} Run
 */

/** @returns {Run[]} what the scenarios came to, one for each time that one was played. */
function play() {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-faults-'));
  const found = join(folder, 'found.jsonl');
  writeFileSync(found, '');
  try {
    spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.faults.config.ts'], {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, FAULTS_ONLY: values.only, FAULTS_REPEAT: values.repeat, FAULTS_FOUND: found },
    });
    return readFileSync(found, 'utf8').split('\n').filter(Boolean).map(JSON.parse);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @returns {{ machine: string, runs: Run[] }} */
const kept = () => (existsSync(KEPT) ? JSON.parse(readFileSync(KEPT, 'utf8')) : { machine: machine(), runs: [] });

const sum = (runs, field) => runs.reduce((total, run) => total + (run[field] ?? 0), 0);

/** One row for all runs of a fault. */
function row(runs) {
  const held = runs.filter((run) => run.held);
  return {
    fault: runs[0].fault,
    runs: runs.length,
    rounds: sum(held, 'rounds'),
    acknowledged: sum(held, 'acknowledged'),
    lost: sum(held, 'lost'),
    'digests equal': held.length === runs.length ? `host, replay, ${sum(held, 'peers')} peers` : 'NO',
    seconds: spread(runs.map(({ seconds }) => seconds)),
  };
}

const INTRODUCTION = `# Reliability

What happens to a run when machines and lines fail: faults injected, and what became of every run. This page is made by \`npm run study:faults\`
and by nothing else; [bench/README.md](../bench/README.md) says how to make it again.

After **each** run the same is checked:

- the host comes to the end of the run (where a fault stops it, by the code that the fault must have; then the same command goes on with the run);
- every record for which a receipt left the host is in the journal. The receipts are read off the wire, whether or not they arrived, and each is
  held against the journal: its signature must fit the very codes that the committed round has. *Acknowledged* counts these records, *lost* those
  that are missing;
- \`murmur verify\`: checksum, chain, signature, order and arithmetic of every journal record, and a replay from the base to every digest;
- every peer that is there at the end has the digest of the host, of the journal and of the replay.`;

const REAL = `## Real processes

\`murmur train\` hosts the run, \`murmur join\` takes part: quill on short reviews, rounds of tens of milliseconds, two or three peers. They talk
through a TCP proxy of the tests' own, which delays, throttles, holds back, loses and damages bytes, resets connections in the middle of a frame, and goes
dead in one direction. Deaths are SIGKILL, freezes SIGSTOP; where a host must die at one write or one fsync, or its disk must be full there, a module that is
loaded before it counts the calls. Seconds are whole: starting, the run, and checking it.`;

const GROUPS = {
  peers: 'Peers that die, freeze, leave, return, are doubled, or have other weights',
  lines: 'Lines that are late, slow, silent, broken off, or dead in one direction',
  host: 'The host dies at each step of a round, freezes, is stopped, or is started twice',
  disk: 'Disks that are full, read-only or torn, and bytes that are no longer what they were',
  company: 'Who is there, and when; and runs that exchange vectors',
};

function chapter(group, runs) {
  const faults = [...new Set(runs.toSorted((a, b) => a.order - b.order).map(({ fault }) => fault))];
  const rows = faults.map((fault) => row(runs.filter((run) => run.fault === fault)));
  return rows.length === 0 ? [] : [`### ${GROUPS[group]}`, markdown(rows)];
}

/** What `npm run simulate` found, if it was run. */
function simulation() {
  const title = `## Simulation

The real sequencer and the real host under a seeded simulator: a virtual clock, lines that delay, duplicate and break, partitions, crashes of peers and of the
host, disks that lose what was not synced. Every run ends with the same checks. A seed is replayed with \`npm run simulate -- --seed N\`.`;
  const files = readdirSync(RESULTS).filter((name) => /^simulation.*\.json$/.test(name));
  const parts = files.map((name) => JSON.parse(readFileSync(join(RESULTS, name), 'utf8')));
  if (parts.length === 0)
    return [title, 'It has not been run for this page: `npm run simulate -- --out bench/results/simulation.json`.'];
  const rows = [...new Set(parts.map(({ peers }) => peers))].map((peers) => {
    const some = parts.filter((part) => part.peers === peers);
    const equal = sum(some, 'digests_equal') === sum(some, 'seeds') ? 'in all' : 'NO';
    const totals = SIMULATED.map((field) => [field.replace('_', ' '), sum(some, field)]);
    return { 'peers a seed': peers, ...Object.fromEntries(totals), 'digests equal': equal };
  });
  return [title, markdown(rows)];
}

function page({ machine: where, runs }) {
  const total = {
    scenarios: new Set(runs.map(({ fault }) => fault)).size,
    runs: runs.length,
    'acknowledged records': sum(runs, 'acknowledged'),
    lost: sum(runs, 'lost'),
    'digests equal': runs.every(({ held }) => held) ? 'in all runs' : 'NO',
  };
  const chapters = Object.keys(GROUPS).flatMap((group) =>
    chapter(
      group,
      runs.filter((run) => run.group === group),
    ),
  );
  return `${[INTRODUCTION, REAL, `${where}.`, markdown([total]), ...chapters, ...simulation()].join('\n\n')}\n`;
}

mkdirSync(RESULTS, { recursive: true });
let known = kept();
if (!values.page) {
  const runs = play();
  const again = new Set(runs.map(({ fault }) => fault));
  known = { machine: machine(), runs: [...known.runs.filter(({ fault }) => !again.has(fault)), ...runs] };
  writeFileSync(KEPT, `${JSON.stringify({ machine: known.machine, runs: known.runs }, null, 1)}\n`);
  for (const { fault, held, seconds, acknowledged, lost, why } of runs)
    console.log(
      `${held ? 'held  ' : 'FAILED'}  ${seconds.toFixed(0).padStart(4)} s  ${fault}${held ? `: ${acknowledged} acknowledged, ${lost} lost` : `: ${why.split('\n')[0]}`}`,
    );
  process.exitCode = runs.length > 0 && runs.every(({ held }) => held) ? 0 : 1;
}
writeFileSync(PAGE, page(known));
