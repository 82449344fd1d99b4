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

/** In the order of the page. Name → flags of the short form. */
const SHORT = {
  step: [],
  peers: ['--batches', '16x64,1x64', '--repetitions', '2'],
  apply: ['--records', '1,4,16,64,256,1024', '--limit', '10'],
  memory: [],
  round: [],
  replay: ['--records', '50000'],
  quality: ['--trials', '0', '--seeds', '1', '--points', '10'],
};

const PAGE = join(root, 'docs/PERFORMANCE.md');
const fileOf = (name) => join(BUILD, `${name}.json`);

/** A bench whose data or programs are not here says so itself; the others go on. @returns whether it was made. */
function make(name) {
  console.error(`bench:${name}`);
  const argv = [join(root, 'bench', `${name}.mjs`), ...SHORT[name], '--json'];
  try {
    const text = execFileSync(process.execPath, argv, {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    writeFileSync(fileOf(name), text);
    return true;
  } catch {
    return false;
  }
}

const INTRODUCTION = `# Performance

What Murmur costs, measured by its own commands. This page is made by \`npm run bench\` and by nothing else. Every table has the command that
makes it; variants of a table were run in turn in one go, so that ratios hold although the machine may change its pace. Figures are medians,
with the lowest and the highest in brackets. [bench/README.md](../bench/README.md) says what each bench does and takes.`;

/** One bench on the page. */
const chapter = (found) =>
  [
    `## ${found.question.replace(/\.$/, '')}`,
    `\`\`\`sh\n${found.command}\n\`\`\``,
    `${found.machine}.`,
    sections(found),
  ].join('\n\n');

const { only } = flagsOf({ only: '' });
const names = only === '' ? Object.keys(SHORT) : only.split(',');
const unknown = names.find((name) => !Object.hasOwn(SHORT, name));
if (unknown !== undefined) throw new RangeError(`--only expected ${Object.keys(SHORT).join(', ')}, got ${unknown}`);
mkdirSync(BUILD, { recursive: true });
const failed = names.filter((name) => !make(name));
const kept = Object.keys(SHORT).filter((name) => existsSync(fileOf(name)));
const chapters = kept.map((name) => chapter(JSON.parse(readFileSync(fileOf(name), 'utf8'))));
writeFileSync(PAGE, `${[INTRODUCTION, ...chapters].join('\n\n')}\n`);
if (failed.length > 0) {
  console.error(`not made: ${failed.join(', ')}`);
  process.exitCode = 1;
}
