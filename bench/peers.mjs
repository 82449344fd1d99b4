/**
 * `npm run bench:peers`: the same step in Murmur and in PyTorch (peers/mezo.py), in turn, in one run: while one works,
 * the other waits for its line. Needs a Python with torch, named by PYTHON or --python.
 *
 *     npm run bench:peers -- --batches 16x64,1x64,8x512 --threads 2 --repetitions 3
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { flagsOf, median, report, spread } from './harness.mjs';
import { loneReplica } from './internals.mjs';
import { configNamed } from './models.mjs';
import { syntheticFolder } from './synthetic.mjs';
import { sampleText } from './text.mjs';

const given = flagsOf({
  ...{ shape: 'opt-125m', batches: '16x64,1x64,8x512', threads: 2, repetitions: 3 },
  python: process.env.PYTHON ?? 'python3',
});
const { shape, threads, repetitions, python } = given;

/** Larger than any array of the model, so that memory is kept and used again. */
const KEEP = String(2 ** 34);
const ALLOCATORS = {
  'stock malloc': {},
  'tuned malloc': { MALLOC_MMAP_THRESHOLD_: KEEP, MALLOC_TRIM_THRESHOLD_: KEEP },
};

/** PyTorch as a child that takes a step when it is told to. @returns ms of it, by its own clock. */
async function torch(env) {
  const script = fileURLToPath(new URL('peers/mezo.py', import.meta.url));
  const child = spawn(python, [script, JSON.stringify(configNamed(shape)), String(threads)], {
    env: { ...process.env, ...env, OMP_NUM_THREADS: String(threads) },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.on('error', () => undefined); // its lines end, which says it
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) {
      console.error(`bench:peers: ${python} has no torch; name one that has with PYTHON or --python`);
      process.exit(1);
    }
    return JSON.parse(value);
  };
  const { torch: version } = await next();
  return {
    version,
    async act(asked) {
      child.stdin.write(`${JSON.stringify(asked)}\n`);
      return (await next()).ms;
    },
    close: () => child.stdin.end(),
  };
}

const timed = (run) => async () => {
  const began = performance.now();
  await run();
  return performance.now() - began;
};

const children = {};
for (const [name, env] of Object.entries(ALLOCATORS)) children[name] = await torch(env);
const model = await syntheticFolder(shape);

const INT8 = { direction: 'lowrank', forward_precision: 'int8', eps: 1e-2 };

/** Name of a row → what gives the ms of one step. */
async function variantsOf(sequences, tokens) {
  const asked = { sequences, tokens };
  const variants = {};
  for (const [name, { act }] of Object.entries(children)) {
    for (const dtype of ['fp32', 'bf16'])
      variants[`PyTorch ${dtype} step, ${name}`] = () => act({ ...asked, dtype, act: 'step' });
    variants[`PyTorch fp32, two forwards, ${name}`] = () => act({ ...asked, dtype: 'fp32', act: 'forwards' });
  }
  const flags = { model, data: sampleText(), block_size: tokens, per_device_train_batch_size: sequences };
  const replicas = [];
  for (const [name, own, workers] of [
    ['fp32 step, dense, a direction a batch', { direction: 'rademacher' }],
    ['fp32 step, low-rank, a direction a sample', { direction: 'lowrank' }],
    ['int8 step, low-rank, a direction a sample', INT8],
    // Records are shared out: with a few there is nothing to share.
    ...(sequences < 2 * threads
      ? []
      : [
          [`fp32 step, low-rank, ${threads} workers`, { direction: 'lowrank' }, threads],
          [`int8 step, low-rank, ${threads} workers`, INT8, threads],
        ]),
  ]) {
    const replica = await loneReplica({ ...flags, ...own }, { threads, workers, maxEvalSamples: 1 });
    variants[`Murmur ${name}`] = timed(replica.step);
    replicas.push(replica);
  }
  return { variants, close: () => Promise.all(replicas.map((replica) => replica.close())) };
}

async function tableOf(batch) {
  const [sequences, tokens] = batch.split('x').map(Number);
  const { variants, close } = await variantsOf(sequences, tokens);
  const times = Object.fromEntries(Object.keys(variants).map((name) => [name, []]));
  for (let i = -1; i < repetitions; i++)
    for (const [name, run] of Object.entries(variants)) {
      const ms = await run();
      console.error(`${batch}, ${name}: ${ms.toFixed(0)} ms`);
      if (i >= 0) times[name].push(ms);
    }
  await close();
  const base = Object.keys(times)
    .filter((name) => name.startsWith('PyTorch fp32 step'))
    .reduce((a, b) => (median(times[b]) < median(times[a]) ? b : a));
  return {
    title: `${batch} tokens, median of ${repetitions} (lowest to highest)`,
    rows: Object.entries(times).map(([name, each]) => ({
      '': name,
      ms: spread(each),
      [`times as fast as "${base}"`]: spread(each.map((ms, i) => times[base][i] / ms)),
    })),
  };
}

const tables = [];
for (const batch of given.batches.split(',')) tables.push(await tableOf(batch));
const [{ version }] = Object.values(children);
for (const child of Object.values(children)) child.close();
report(given, {
  name: 'peers',
  question: `One MeZO-like step of ${shape}'s shape in PyTorch ${version} and in Murmur, ${threads} threads each.`,
  tables,
});
