/**
 * `npm run bench`: the short form of every bench, one after the other; keeps what each found in build/bench and writes
 * docs/PERFORMANCE.md from all that is kept. `--only step,apply` redoes some.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUILD, flagsOf, root, sections } from './harness.mjs';

/** In the order of the page. Name → flags of each short run. */
const SHORT = {
  step: [
    ['--repetitions', '7'],
    ['--sequences', '1', '--repetitions', '21'],
    ['--shape', 'stories260k', '--threads', '1', '--repetitions', '101'],
    ['--shape', 'llama-135m', '--repetitions', '3'],
    ['--sequences', '8', '--tokens', '512', '--repetitions', '2'],
  ],
  peers: [['--batches', '16x64,1x64', '--repetitions', '3']],
  // MeZO's best rate falls with the target: 2e-4 stays above 3.79 for good, 1e-4 does not.
  quality: [
    [
      ...['--trials', '0', '--seeds', '1', '--points', '10', '--target', '4.2'],
      ...['--rates', '1e-3,2e-4', '--max_steps', '50,400'],
    ],
    [
      ...['--trials', '0', '--seeds', '1', '--points', '10', '--target', '3.8'],
      ...['--rates', '1e-3,1e-4', '--max_steps', '150,1500'],
    ],
  ],
  apply: [['--records', '1,4,16,64,256,1024', '--limit', '10']],
  replay: [['--repetitions', '1']],
  memory: [[]],
  offload: [['--steps', '1']],
  plan: [[]],
  round: [[]],
};

const PAGE = join(root, 'docs/PERFORMANCE.md');
const fileOf = (name, run) => join(BUILD, `${name}-${run}.json`);

/** A bench whose data or programs are not here says so itself; the others go on. @returns whether it was made. */
function make(name) {
  return SHORT[name].every((flags, run) => {
    console.error(`bench:${name} ${flags.join(' ')}`);
    const argv = [join(root, 'bench', `${name}.mjs`), ...flags, '--json'];
    try {
      const stdio = ['ignore', 'pipe', 'inherit'];
      writeFileSync(fileOf(name, run), execFileSync(process.execPath, argv, { cwd: root, encoding: 'utf8', stdio }));
      return true;
    } catch {
      return false;
    }
  });
}

const INTRODUCTION = `# Performance

What Murmur costs, measured by its own commands. This page is made by \`npm run bench\` and by nothing else. Every table has the command that
makes it; variants of a table were run in turn in one go, so that ratios hold although the machine may change its pace. Figures are medians,
with the lowest and the highest in brackets. [bench/README.md](../bench/README.md) says what each bench does and takes.`;

/** One bench on the page, all its runs. */
const chapter = (runs) =>
  [
    `## ${runs[0].question.replace(/\.$/, '')}`,
    `${runs[0].machine}.`,
    ...runs.map((found) => `\`\`\`sh\n${found.command}\n\`\`\`\n\n${sections(found)}`),
  ].join('\n\n');

const { only } = flagsOf({ only: '' });
const names = only === '' ? Object.keys(SHORT) : only.split(',');
const unknown = names.find((name) => !Object.hasOwn(SHORT, name));
if (unknown !== undefined) throw new RangeError(`--only expected ${Object.keys(SHORT).join(', ')}, got ${unknown}`);
mkdirSync(BUILD, { recursive: true });
const failed = names.filter((name) => !make(name));
const kept = Object.keys(SHORT).map((name) => SHORT[name].map((_, run) => fileOf(name, run)).filter(existsSync));
const chapters = kept
  .filter((files) => files.length > 0)
  .map((files) => chapter(files.map((file) => JSON.parse(readFileSync(file, 'utf8')))));
writeFileSync(PAGE, `${[INTRODUCTION, ...chapters].join('\n\n')}\n`);
if (failed.length > 0) {
  console.error(`not made: ${failed.join(', ')}`);
  process.exitCode = 1;
}
