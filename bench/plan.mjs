/**
 * `npm run bench:plan`: what `murmur plan` says against what then happens, each in a process of its own: peak resident
 * memory of a peer, and seconds of a step.
 *
 *     npm run bench:plan -- --models quill,opt-125m --threads 2
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { flagsOf, report, root } from './harness.mjs';
import { workerSteps } from './internals.mjs';
import { CONFIGS } from './models.mjs';
import { requireStories, STORIES } from './stories.mjs';
import { syntheticFolder } from './synthetic.mjs';
import { sampleText } from './text.mjs';

const { json, written, live, ...given } = flagsOf({
  models: 'stories260k,quill,opt-125m,llama-135m',
  threads: 2,
  block_size: 64,
  live: '',
});

const DIRECTIONS = ['rademacher', 'lowrank'];

function folderOf(name) {
  if (name === 'stories260k') {
    requireStories('bench:plan');
    return join(root, STORIES);
  }
  return CONFIGS[name] ? syntheticFolder(name) : join(root, 'assets', name);
}

/** Peak of this process, in bytes. Linux says so itself; elsewhere the peak that libuv knows. */
function peak() {
  try {
    return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  } catch {
    return 1024 * process.resourceUsage().maxRSS;
  }
}

const last = (text) => JSON.parse(text.trimEnd().split('\n').at(-1));
const node = (...argv) =>
  last(execFileSync(process.execPath, argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }));

async function compared(name, direction) {
  const { threads, block_size } = given;
  const flags = { model: await folderOf(name), data: sampleText(), direction, block_size };
  const words = Object.entries({ ...flags, threads }).flatMap(([key, value]) => [`--${key}`, String(value)]);
  const said = node(join(root, 'bin/murmur.js'), 'plan', ...words, '--json');
  const found = node(fileURLToPath(import.meta.url), '--live', JSON.stringify(flags), '--threads', String(threads));
  return {
    model: name,
    direction,
    'planned, MB': said['bytes/peer'] / 1e6,
    'peak, MB': found.peak / 1e6,
    'planned / peak': said['bytes/peer'] / found.peak,
    'planned, s': said['seconds/round'],
    'a step, s': found.seconds,
    'planned / step': said['seconds/round'] / found.seconds,
  };
}

if (live !== '') {
  const { seconds, close } = await workerSteps(JSON.parse(live), given.threads);
  await close();
  console.log(JSON.stringify({ peak: peak(), seconds }));
} else {
  const rows = [];
  for (const name of given.models.split(','))
    for (const direction of DIRECTIONS) rows.push(await compared(name, direction));
  report(
    { json, written },
    {
      name: 'plan',
      question: 'What murmur plan says, against what happens.',
      tables: [
        {
          title: `${given.threads} threads, samples of ${given.block_size} tokens`,
          rows,
          notes: ['Meant to hold: memory within 15 %, time within 30 % on a quiet machine.'],
        },
      ],
    },
  );
}
