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
const pairs = batchExamples(
  examples.flatMap((example) => [example, example]),
  model.positions,
);
const plans = [...batches, ...pairs].flatMap((dims) =>
  [{ kind: 'none' }, { kind: 'dense' }, { kind: 'sided', rank: 1 }, { kind: 'sided', rank: 1, precision: 'int8' }].map(
    (perturbation) => ({
      dims,
      head,
      perturbation,
    }),
  ),
);
const weights = await weightsOf(model, plans);
const engine = nodeEngine({ threads });
const forward = createForward(model, weights, engine);
const task = { kind: 'lm', window: tokens };
const measurement = { forward, task, choices: new Int32Array(0), positions: model.positions };

/** Floor: the programs alone, with weights that lie ready as floats, on the batches without any padding. */
async function plainForward() {
  const pieces = model.head(head);
  const stages = [model.embed, ...model.blocks, model.final, ...pieces.map(({ stage }) => stage)];
  const ready = new Map();
  for (const { name } of model.tensors)
    await weights.visit(name, ({ tensor }) => {
      const { q, exponent } = tensor(name);
      ready.set(
        name,
        Float32Array.from(q, (value) => value * 2 ** exponent),
      );
    });
  const rows = (table, index, width) => {
    const out = new Float32Array(index.length * width);
    for (const [i, row] of index.entries()) out.set(table.subarray(row * width, (row + 1) * width), i * width);
    return out;
  };
  const wholeOf = ({ access, tensor }) =>
    access.as === 'piece'
      ? ready.get(tensor).subarray(access.first * model.hidden, (access.first + access.count) * model.hidden)
      : ready.get(tensor);
  const calls = [];
  for (const batch of batches) {
    const { sequences, tokens, scored } = batch;
    const activations = () => new Float32Array(sequences * tokens * model.hidden);
    let x = activations();
    for (const [n, stage] of stages.entries()) {
      const feeds = { ...stage.constants(batch), ...(n > 0 && { x }) };
      for (const binding of stage.bindings) if (binding.access.as !== 'rows') feeds[binding.input] = wholeOf(binding);
      const piece = pieces[n - stages.length + pieces.length];
      const outputs = {};
      if (piece) {
        feeds.targets = batch.targets.map((t) => Math.max(0, Math.min(piece.count - 1, t - piece.first)));
        for (const name of ['picked', 'share']) outputs[name] = new Float32Array(sequences * scored);
      } else
        outputs.y = x =
          n === stages.length - pieces.length - 1 ? new Float32Array(sequences * scored * model.hidden) : activations();
      if (stage === model.final) feeds.at = batch.at;
      const program = await engine.compile(stage.build(batch, { kind: 'plain' }));
      calls.push({ program, feeds, outputs, stage, batch });
    }
  }
  return async () => {
    for (const { program, feeds, outputs, stage, batch } of calls) {
      const gathered = {};
      for (const { input, tensor, access } of stage.bindings)
        if (access.as === 'rows') {
          const index =
            access.of === 'tokens' ? batch.ids : Int32Array.from({ length: batch.tokens }, (_, t) => t + access.offset);
          gathered[input] = rows(ready.get(tensor), index, model.hidden);
        }
      await program.run({ ...feeds, ...gathered }, outputs);
    }
  };
}

let round = 0;
const gain = 1e-9;
/** Measures and applies, as a round of one peer does. */
function step(direction, probesOf, precision = 'f32') {
  return async () => {
    const at = round++;
    const slopes = await spsa({ ...measurement, precision }, direction, 1e-3, probesOf(at));
    const scale = initialScale([...slopes]);
    const codes = Int8Array.from(slopes, (slope) => encodeSlope(slope, scale, 127));
    const header = { round: at, usable: codes.length, gain, scale, clip: 127 };
    await applyRound(weights, direction, 1, { header, segments: [{ slot: 0, from: 0, codes }] });
  };
}
const perSample = (at) => examples.map((example, sample) => ({ key: recordKey(1, at, sample), examples: [example] }));
const lowRank = step({ kind: 'lowrank', rank: 1, scale: 1 }, perSample);
const int8 = step({ kind: 'lowrank', rank: 1, scale: 1 }, perSample, 'int8');
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
    'the same in int8': int8,
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
