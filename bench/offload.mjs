/**
 * `npm run bench:offload`: steps of a model whose weights do not fit into the memory it is given. The child process runs
 * under a limit that the kernel enforces; blocks of the model come from disk (`--offload_folder`).
 *
 *     npm run bench:offload -- --shape opt-1.3b --dtype F16 --cap 2.5 --sequences 16 --tokens 64 --threads 2 --steps 3
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { memoryCap } from './capped.mjs';
import { BUILD, flagsOf, median, report } from './harness.mjs';
import { loneReplica } from './internals.mjs';
import { elements, modelNamed } from './models.mjs';
import { syntheticFolder } from './synthetic.mjs';
import { sampleText } from './text.mjs';

/** `cap`: GB, 10^9 bytes. */
const standard = { shape: 'opt-1.3b', dtype: 'F16', cap: 2.5, sequences: 16, tokens: 64, threads: 2, steps: 3 };
const ARMS = { 'dense step': { direction: 'rademacher' }, 'low-rank step': { direction: 'lowrank' } };

/** Steps in this process. @returns seconds: loading, then each step; bytes: the peak. */
async function live(arm, { shape, dtype, sequences, tokens, threads, steps }) {
  const model = await syntheticFolder(shape, dtype);
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  const replica = await loneReplica(
    { ...ARMS[arm], per_device_train_batch_size: sequences, block_size: tokens, model, data: sampleText() },
    { threads, maxEvalSamples: 1, offloadFolder: join(BUILD, 'offload') },
  );
  const marks = [seconds()];
  for (let i = 0; i <= steps; i++) {
    await replica.step(); // the first also calibrates, and is not counted
    marks.push(seconds());
  }
  await replica.close();
  return { marks, peak: 1024 * process.resourceUsage().maxRSS };
}

function measure(arm, settings, words) {
  const flags = Object.entries(settings).flatMap(([key, value]) => [`--${key}`, String(value)]);
  const [file, ...argv] = [...words, process.execPath, fileURLToPath(import.meta.url), '--arm', arm, ...flags];
  return JSON.parse(execFileSync(file, argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }));
}

const { arm: own, ...given } = flagsOf({ ...standard, arm: '' });
const { json, written, ...settings } = given;
if (own !== '') console.log(JSON.stringify(await live(own, settings)));
else {
  const { shape, dtype, cap: gigabytes, sequences, tokens, threads } = settings;
  await syntheticFolder(shape, dtype);
  const weights = modelNamed(shape).tensors.reduce((sum, tensor) => sum + elements(tensor.shape), 0);
  const cap = memoryCap(gigabytes * 1e9);
  const rows = Object.keys(ARMS).map((arm) => {
    const { marks, peak } = measure(arm, settings, cap?.words ?? []);
    const steps = marks.slice(2).map((mark, i) => mark - marks[i + 1]);
    return {
      '': arm,
      'loading, s': marks[0],
      'a step, s': { median: median(steps), low: Math.min(...steps), high: Math.max(...steps) },
      'peak resident, MB': peak / 1e6,
    };
  });
  cap?.remove();
  report(given, {
    name: 'offload',
    question: 'Steps of a model whose weights do not fit into memory.',
    tables: [
      {
        title: `${shape} as ${dtype}, ${(weights / 1e6).toFixed(0)} M weights (${((4 * weights) / 1e9).toFixed(1)} GB as integers), ${sequences} x ${tokens} tokens, ${threads} threads, ${cap ? `limit ${gigabytes} GB set by the kernel` : 'no limit could be set here'}`,
        rows,
        notes: ['Everything is perturbed and updated. A step reads and writes every block once.'],
      },
    ],
  });
}
