/**
 * `npm run bench:memory`: peak resident memory by phase of a peer's life, each phase in a process of its own, so that
 * none inherits the peak of another. Every phase does what the ones before it need.
 *
 *     npm run bench:memory -- --shape opt-125m --dtype F32 --sequences 16 --tokens 64 --threads 2
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { flagsOf, report } from './harness.mjs';
import { loneReplica } from './internals.mjs';
import { elements, modelNamed } from './models.mjs';
import { syntheticFolder } from './synthetic.mjs';
import { sampleText } from './text.mjs';

const standard = { shape: 'opt-125m', dtype: 'F32', sequences: 16, tokens: 64, threads: 2, records: 64 };

/** What fine-tuning is meant to take at most: shown, not asserted. */
const BOUND = { phase: 'dense step', bytesPerWeight: 4.6, constant: 250e6 };

const lowRank = { direction: 'lowrank' };
const dense = { direction: 'rademacher' };

/** Phase → flags of the run, and what is done with its replica. Without flags none is opened. */
const PHASES = {
  start: {},
  'weights loaded': { flags: lowRank, act: () => undefined },
  'plain forward': { flags: lowRank, act: (replica) => replica.evaluate() },
  'dense step': { flags: dense, act: (replica) => replica.step() },
  'low-rank step': { flags: lowRank, act: (replica) => replica.step() },
  apply: { flags: lowRank, act: (replica, { records }) => replica.apply(records) },
};

/** Peak of this process, in bytes. Linux says so itself; elsewhere the peak that libuv knows. */
function peak() {
  try {
    return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  } catch {
    return 1024 * process.resourceUsage().maxRSS;
  }
}

async function live(phase, { shape, dtype, sequences, tokens, threads, records }) {
  const { flags, act } = PHASES[phase];
  if (flags === undefined) return;
  const model = await syntheticFolder(shape, dtype);
  const batch = { per_device_train_batch_size: sequences, block_size: tokens };
  const replica = await loneReplica(
    { ...flags, ...batch, model, data: sampleText() },
    { threads, maxEvalSamples: sequences },
  );
  // Twice: the second is what a run goes on with.
  for (let i = 0; i < 2; i++) await act(replica, { records });
}

/** The peak of a phase in a process of its own, or the code with which it was refused. */
function measure(phase, settings) {
  const flags = Object.entries(settings).flatMap(([key, value]) => [`--${key}`, String(value)]);
  const argv = [fileURLToPath(import.meta.url), '--phase', phase, ...flags];
  return JSON.parse(execFileSync(process.execPath, argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }));
}

const { phase: own, ...given } = flagsOf({ ...standard, phase: '' });
const { json, written, ...settings } = given;
if (own !== '') {
  const refused = await live(own, settings).then(
    () => undefined,
    (fault) => fault.code ?? fault.message,
  );
  console.log(JSON.stringify({ peak: peak(), refused }));
} else {
  const { shape, dtype, sequences, tokens, threads, records } = settings;
  await syntheticFolder(shape, dtype);
  const weights = modelNamed(shape).tensors.reduce((sum, tensor) => sum + elements(tensor.shape), 0);
  const peaks = Object.keys(PHASES).map((phase) => ({ phase, ...measure(phase, settings) }));
  const bare = peaks[0].peak;
  report(given, {
    name: 'memory',
    question: 'Peak resident memory of a peer, by phase.',
    tables: [
      {
        title: `${shape} as ${dtype}, ${(weights / 1e6).toFixed(1)} M weights, batches of ${sequences} x ${tokens} tokens, ${threads} threads, ${records} records applied`,
        rows: peaks.map(({ phase, peak: bytes, refused }) => ({
          phase,
          'peak, MB': refused ?? bytes / 1e6,
          'bytes a weight over the start': refused ? '' : (bytes - bare) / weights,
          'bound, MB': phase === BOUND.phase ? (BOUND.bytesPerWeight * weights + BOUND.constant) / 1e6 : '',
        })),
        notes: [`The bound is ${BOUND.bytesPerWeight} bytes a weight and ${BOUND.constant / 1e6} MB.`],
      },
    ],
  });
}
