/**
 * `npm run bench:step`: what a step of training costs over two plain forward passes of the same samples, which is the
 * least that a two-sided measurement can take. A step measures and applies; everything is perturbed and updated.
 *
 *     npm run bench:step -- --shape opt-125m --sequences 16 --tokens 64 --threads 2 --repetitions 7
 *
 * @module
 */
import { parseArgs } from 'node:util';
import { applyRound, recordKey } from '../dist/apply/apply.js';
import { batchExamples } from '../dist/data/batch.js';
import { nodeEngine } from '../dist/engine/node.js';
import { spsa } from '../dist/estimator/spsa.js';
import { encodeSlope } from '../dist/numeric/byte.js';
import { initialScale } from '../dist/numeric/scale.js';
import { createForward } from '../dist/objective/forward.js';
import { interleaved, ratios, report } from './harness.mjs';
import { elements, modelNamed, randomWindows, weightsOf } from './models.mjs';

const { values: given } = parseArgs({
  options: {
    shape: { type: 'string', default: 'opt-125m' },
    sequences: { type: 'string', default: '16' },
    tokens: { type: 'string', default: '64' },
    threads: { type: 'string', default: '2' },
    repetitions: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
});
const [sequences, tokens, threads, repetitions] = ['sequences', 'tokens', 'threads', 'repetitions'].map((key) =>
  Number(given[key]),
);

const model = modelNamed(given.shape);
const examples = randomWindows(model, sequences, tokens);
const batches = batchExamples(examples, model.positions);
const head = { kind: 'lm' };
const plans = batches.flatMap((dims) =>
  [{ kind: 'none' }, { kind: 'dense' }, { kind: 'sided', rank: 1 }].map((perturbation) => ({
    dims,
    head,
    perturbation,
  })),
);
const { weights, floats } = await weightsOf(model, plans);
const engine = nodeEngine({ threads });
const forward = createForward(model, weights, engine, floats);
const task = { kind: 'lm', window: tokens };
const measurement = { forward, task, choices: new Int32Array(0), positions: model.positions };

/** Floor: the programs alone, with weights that lie ready as floats. */
async function plainForward() {
  const stages = [model.embed, ...model.blocks, model.head(head)];
  const ready = new Map(
    model.tensors.map(({ name }) => {
      const { q, exponent } = weights.byName(name);
      return [name, Float32Array.from(q, (value) => value * 2 ** exponent)];
    }),
  );
  const programs = new Map();
  for (const stage of stages)
    if (!programs.has(stage.program))
      programs.set(stage.program, await engine.compile(stage.build(batches[0], { kind: 'plain' })));
  const rows = (table, index, width) => {
    const out = new Float32Array(index.length * width);
    for (const [i, row] of index.entries()) out.set(table.subarray(row * width, (row + 1) * width), i * width);
    return out;
  };
  const size = batches[0].sequences * batches[0].tokens;
  let [x, y] = [new Float32Array(size * model.hidden), new Float32Array(size * model.hidden)];
  const nll = new Float32Array(batches[0].sequences * batches[0].scored);
  return async () => {
    for (const batch of batches)
      for (const [n, stage] of stages.entries()) {
        const feeds = { ...stage.constants(batch) };
        for (const { input, tensor, access } of stage.bindings) {
          const whole = ready.get(tensor);
          const positions = () => Int32Array.from({ length: batch.tokens }, (_, t) => t + access.offset);
          feeds[input] =
            access.as === 'rows' ? rows(whole, access.of === 'tokens' ? batch.ids : positions(), model.hidden) : whole;
        }
        const last = n === stages.length - 1;
        if (n > 0) feeds.x = x;
        if (last) Object.assign(feeds, { at: batch.at, targets: batch.targets });
        await programs.get(stage.program).run(feeds, last ? { nll } : { y });
        [x, y] = [y, x];
      }
  };
}

let round = 0;
const gain = 1e-9;
/** Measures and applies, as a round of one peer does. */
function step(direction, probesOf) {
  return async () => {
    const at = round++;
    const slopes = await spsa(measurement, direction, 1e-3, probesOf(at));
    const scale = initialScale([...slopes]);
    const codes = Int8Array.from(slopes, (slope) => encodeSlope(slope, scale, 127));
    const header = { round: at, usable: codes.length, gain, scale, clip: 127 };
    applyRound(weights, direction, 1, { header, segments: [{ slot: 0, from: 0, codes }] });
  };
}
const lowRank = step({ kind: 'lowrank', rank: 1, scale: 1 }, (at) =>
  examples.map((example, sample) => ({ key: recordKey(1, at, sample), examples: [example] })),
);
const dense = step({ kind: 'rademacher', rank: 1, scale: 1 }, (at) => [{ key: recordKey(1, at, 0), examples }]);

const once = await plainForward();
const times = await interleaved(
  {
    'two plain forwards': async () => {
      await once();
      await once();
    },
    'dense step, one direction': dense,
    'low-rank step, a direction a sample': lowRank,
  },
  repetitions,
);
const rows = ratios(times, 'two plain forwards');
const count = model.tensors.reduce((sum, { shape }) => sum + elements(shape), 0);
report(
  { json: given.json, written: process.argv.slice(2).filter((word) => word !== '--json') },
  {
    name: 'step',
    question: 'What a step of training costs over two plain forward passes of the same samples, the least it can take.',
    tables: [
      {
        title: `${given.shape}, ${(count / 1e6).toFixed(1)} M weights, ${sequences} x ${tokens} tokens, ${threads} threads, median of ${repetitions}`,
        rows: rows.map(({ name, ms, ratio, low, high }) => ({
          ...{ '': name, ms },
          'over two forwards': { median: ratio, low, high },
        })),
      },
    ],
  },
);
