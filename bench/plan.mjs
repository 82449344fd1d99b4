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
import { trainerSteps, workerSteps } from './internals.mjs';
import { CONFIGS } from './models.mjs';
import { requireStories, STORIES } from './stories.mjs';
import { syntheticFolder } from './synthetic.mjs';
import { sampleText } from './text.mjs';

const { json, written, live, ...given } = flagsOf({
  models: 'stories260k,quill,opt-125m,llama-135m',
  methods: 'zo-sgd-mmt,zo-adam,forward-grad,sparse-mezo,backprop,hybrid',
  threads: 2,
  block_size: 64,
  live: '',
});

/** Directions of the default method, then methods by name. */
const kinds = [
  ...['rademacher', 'lowrank'].map((direction) => ({ direction })),
  ...given.methods.split(',').flatMap((method) => (method ? [{ method }] : [])),
];
/** Those that are timed: what momentum adds again grows with them. */
const STEPS = 3;
const ALONE = ['backprop', 'hybrid'];

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

async function compared(name, kind) {
  const { threads, block_size } = given;
  const flags = { model: await folderOf(name), data: sampleText(), ...kind, block_size, max_steps: STEPS };
  const words = Object.entries({ ...flags, threads }).flatMap(([key, value]) => [`--${key}`, String(value)]);
  const said = node(join(root, 'bin/murmur.js'), 'plan', ...words, '--json');
  const found = node(fileURLToPath(import.meta.url), '--live', JSON.stringify(flags), '--threads', String(threads));
  return {
    model: name,
    kind: kind.direction ?? kind.method,
    'planned, MB': said['bytes/peer'] / 1e6,
    'peak, MB': found.peak / 1e6,
    'planned / peak': said['bytes/peer'] / found.peak,
    'planned, s': said['seconds/round'],
    'a step, s': found.seconds,
    'planned / step': said['seconds/round'] / found.seconds,
  };
}

if (live !== '') {
  const flags = JSON.parse(live);
  const steps = ALONE.includes(flags.method) ? trainerSteps : workerSteps;
  const { seconds, close } = await steps(flags, given.threads, STEPS);
  await close();
  console.log(JSON.stringify({ peak: peak(), seconds }));
} else {
  const rows = [];
  for (const name of given.models.split(',')) for (const kind of kinds) rows.push(await compared(name, kind));
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
