/**
 * `npm run bench:train-step`: a whole step along the gradient (forward, backward, clipping, AdamW) in Murmur, and beside it
 * in PyTorch (train-step.py) where `--python` names a Python that has torch. Each is a process of its own, so that peaks of
 * memory compare; they take their steps in turn, and while one works the others wait for a line.
 *
 *     npm run bench:train-step -- --batches 16x64,1x64 --threads 2 --repetitions 5 --python python3
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { nodeEngine } from '../dist/engine/node.js';
import { applyGradient, gradientOf, trainee } from '../dist/method/backprop.js';
import { createBackward } from '../dist/objective/backward.js';
import { flagsOf, median, report, spread } from './harness.mjs';
import { configNamed, elements, modelNamed, randomWindows, weightsOf } from './models.mjs';

const ADAMW = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
const RATE = { learning_rate: 1e-5, weight_decay: 0.01, max_grad_norm: 1 };

/** Larger than any array of the model, so that the C library keeps memory and uses it again. */
const KEEP = String(2 ** 34);
const TUNED = { MALLOC_MMAP_THRESHOLD_: KEEP, MALLOC_TRIM_THRESHOLD_: KEEP };

/** Peak of this process, in bytes. Linux says so itself; elsewhere the peak that libuv knows. */
function peak() {
  try {
    return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  } catch {
    return 1024 * process.resourceUsage().maxRSS;
  }
}

/** This process as one that takes steps when it is told to. */
async function serve({ shape, sequences, tokens, threads }) {
  const model = modelNamed(shape);
  const { learning_rate, weight_decay, max_grad_norm } = RATE;
  const dims = { sequences, tokens, scored: tokens };
  const weights = await weightsOf(model, [{ dims, head: { kind: 'lm' }, perturbation: { kind: 'none' } }]);
  const settings = { optim: { kind: 'adamw', ...ADAMW }, weight_decay, max_grad_norm };
  const learner = {
    weights,
    task: { kind: 'lm', window: tokens },
    choices: new Int32Array(0),
    positions: model.positions,
  };
  const backward = createBackward(model, weights, nodeEngine({ threads }));
  const of = trainee(learner, backward, settings, () => true);
  const examples = randomWindows(model, sequences, tokens);
  const say = (answer) => console.log(JSON.stringify(answer));
  say({});
  for await (const line of createInterface({ input: process.stdin })) {
    if (JSON.parse(line).act === 'peak') {
      say({ peak: peak() });
      continue;
    }
    const began = performance.now();
    const gradient = await gradientOf(of, [examples]);
    const half = performance.now();
    await applyGradient(of, gradient, learning_rate);
    say({ ms: performance.now() - began, gradient: half - began });
  }
}

/** A process that answers line by line. @returns undefined where it ends before it says a word. */
async function child(command, argv, env) {
  const own = spawn(command, argv, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] });
  own.on('error', () => undefined); // its lines end, which says it
  const lines = createInterface({ input: own.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    return done ? undefined : JSON.parse(value);
  };
  const hello = await next();
  return (
    hello && {
      hello,
      act(act) {
        own.stdin.write(`${JSON.stringify({ act })}\n`);
        return next();
      },
      close: () => own.stdin.end(),
    }
  );
}

async function childrenOf({ shape, threads, python }, sequences, tokens) {
  const sizes = { sequences, tokens, threads };
  const children = {
    Murmur: await child(process.execPath, [
      fileURLToPath(import.meta.url),
      '--serve',
      JSON.stringify({ shape, ...sizes }),
    ]),
  };
  if (python === '') return children;
  const script = fileURLToPath(new URL('train-step.py', import.meta.url));
  for (const [name, fused, env] of [
    ['PyTorch', false, {}],
    ['PyTorch, fused AdamW, tuned malloc', true, TUNED],
  ]) {
    const asked = { config: configNamed(shape), ...sizes, ...ADAMW, ...RATE, fused };
    const found = await child(python, [script, JSON.stringify(asked)], { OMP_NUM_THREADS: String(threads), ...env });
    if (!found) {
      console.error(`bench:train-step: ${python} has no torch; name one that has with --python`);
      process.exit(1);
    }
    children[`${name} ${found.hello.torch}`] = found;
  }
  return children;
}

async function tableOf(given, batch) {
  const { shape, threads, repetitions, python } = given;
  const [sequences, tokens] = batch.split('x').map(Number);
  const children = await childrenOf(given, sequences, tokens);
  const times = Object.fromEntries(Object.keys(children).map((name) => [name, []]));
  const gradients = [];
  // Two rounds to warm up: the first makes the programs and the moments.
  for (let i = -2; i < repetitions; i++)
    for (const [name, { act }] of Object.entries(children)) {
      const { ms, gradient } = await act('step');
      if (i < 0) continue;
      times[name].push(ms);
      if (gradient !== undefined) gradients.push(gradient);
    }
  const rows = [];
  for (const [name, { act, close }] of Object.entries(children)) {
    rows.push({
      '': name,
      'ms a step': spread(times[name]),
      'over Murmur': spread(times[name].map((ms, i) => ms / times.Murmur[i])),
      'peak, MB': (await act('peak')).peak / 1e6,
    });
    close();
  }
  const weights = modelNamed(shape).tensors.reduce((sum, tensor) => sum + elements(tensor.shape), 0);
  return {
    title: `${shape}, ${(weights / 1e6).toFixed(1)} M weights, ${sequences} x ${tokens} tokens, ${threads} threads, median of ${repetitions} (lowest to highest)`,
    rows,
    notes: [
      `Of Murmur's step the gradient is ${Math.round(median(gradients))} ms; the rest is clipping and AdamW.`,
      ...(python === ''
        ? ['Only Murmur was measured: `--python` names a Python with torch to measure beside it.']
        : []),
    ],
  };
}

const { values } = parseArgs({ options: { serve: { type: 'string' } }, strict: false });
if (values.serve !== undefined) await serve(JSON.parse(values.serve));
else {
  const given = flagsOf({ shape: 'opt-125m', batches: '16x64,1x64', threads: 2, repetitions: 5, python: '' });
  const tables = [];
  for (const batch of given.batches.split(',')) tables.push(await tableOf(given, batch));
  report(given, {
    name: 'train-step',
    question: 'A step along the gradient (forward, backward, clipping, AdamW), all weights trained in float32.',
    tables,
  });
}
