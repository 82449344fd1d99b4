/**
 * A question with a known answer, put to a device before it may join: a model of a few thousand weights, made from
 * nothing, is moved by all kinds of noise and measured. Bits must be those of the definition; losses and slopes those of
 * the oracle, within what f32 rounds. What a device gets wrong here it would get wrong in every round.
 *
 * @module
 */
import { checksum } from '../apply/digest.ts';
import { type Measurement, spsa } from '../estimator/spsa.ts';
import { Fault } from '../faults.ts';
import { readConfig } from '../model/config.ts';
import { freshTensors, modelOf } from '../model/model.ts';
import { type MakeKernels, residentShelf } from '../model/resident.ts';
import { fixWeights, pagesOf } from '../model/weights.ts';
import type { Direction, DirectionKey, Example, Hex } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import { wasmBytes, wasmKernels } from '../numeric/wasm/wasm.ts';
import { createForward, scratchLength } from '../objective/forward.ts';
import type { Engine } from '../ports.ts';
import { evaluate } from './evaluate.ts';

const CONFIG = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  vocab_size: 40,
  hidden_size: 24,
  intermediate_size: 36,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 32,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
};
const TOKENS = 16;
const TASK = { kind: 'lm', window: TOKENS } as const;
const RUN = 0xa115_3e12;
const EPS = 1e-3;

const DIRECTIONS: readonly Direction[] = [
  { kind: 'lowrank', rank: 2, scale: 1 },
  { kind: 'rademacher', rank: 1, scale: 1 },
  { kind: 'binomial', rank: 1, scale: 0.5 },
];

export interface Answers {
  /** Checksum of the weights, moved along directions of all kinds. */
  readonly bits: Hex;
  /** Of a text, before they moved: nats. */
  readonly loss: number;
  /** Along one direction of each kind. */
  readonly slopes: readonly number[];
}

/** As the reference kernels and the interpreter have it: `test/peer/known-answer.test.ts`. */
export const KNOWN: Answers = {
  bits: 'b828e473b60815b0',
  loss: 4.03762,
  slopes: [0.2627, -4.2726, 0.5128],
};

/** Of losses in f32, and of slopes as a part of the largest: a hundred times what devices were seen to differ by. */
const TOLERANCE = { loss: 1e-4, slope: 0.02 };

const keyOf = (sample: number): DirectionKey => ({ round: 0, run: RUN, sample, slot: 1 });

/** Numbers in [-1, 1) from a seed, the same everywhere. */
function noise(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

const wasmOf: MakeKernels = (lengths) => wasmKernels({ bytes: wasmBytes(lengths) });

/** What a device says, with the kernels that weights are moved by. */
export async function answersOf(engine: Engine, make: MakeKernels = wasmOf): Promise<Answers> {
  const config = readConfig(JSON.stringify(CONFIG));
  const model = modelOf(config, freshTensors(config));
  const dims = { sequences: 2, tokens: TOKENS, scored: TOKENS };
  const head = { kind: 'lm' } as const;
  const scratch = scratchLength(model, [
    { dims, head, perturbation: { kind: 'dense' } },
    { dims, head, perturbation: { kind: 'sided', rank: 2, precision: 'f32' } },
  ]);
  const shelf = await residentShelf(pagesOf(model), scratch, make);
  const ids = new Map(model.tensors.map(({ name, id }) => [name, id]));
  const weights = await fixWeights(model, shelf, async (name, first, count) => {
    const values = noise(first + count, ids.get(name)!).subarray(first);
    return name.includes('norm') ? values.map((x) => 1 + x / 4) : values.map((x) => x / 4);
  });
  const forward = createForward(model, weights, engine);
  const stream = Int32Array.from(noise(TOKENS + 1, 77), (x) => Math.floor(((x + 1) / 2) * CONFIG.vocab_size));
  const example: Example = {
    tokens: stream.subarray(0, TOKENS),
    at: Int32Array.from({ length: TOKENS }, (_, i) => i),
    targets: stream.subarray(1),
  };
  const measurement: Measurement = { task: TASK, forward, choices: new Int32Array(0), positions: model.positions };
  try {
    const slopes: number[] = [];
    for (const [i, direction] of DIRECTIONS.entries())
      slopes.push(...(await spsa(measurement, direction, EPS, [{ key: keyOf(i), examples: [example] }])));
    const { 'eval/loss': loss } = await evaluate(measurement, [example]);
    for (const [i, { kind, rank }] of DIRECTIONS.entries())
      for (const { name } of weights.tensors)
        await weights.visit(name, ({ kernels, tensor }) => {
          const of = tensor(name);
          kernels.apply(of.q, of, kind, rank, [
            { key: keyOf(i), c: 12_345 },
            { key: keyOf(i + 9), c: -70_001 },
          ]);
        });
    return { bits: toHex(await checksum(weights, 1, RUN)), loss: loss!, slopes };
  } finally {
    await forward.release();
    await weights.close();
  }
}

/** @throws {Fault} ENGINE_FAILED where a device does not compute what it must */
export async function checkDevice(engine: Engine): Promise<void> {
  const { bits, loss, slopes } = await answersOf(engine);
  const refuse = (what: string): never => {
    throw new Fault('ENGINE_FAILED', `${engine.name} computes wrongly: ${what}; it cannot take part`);
  };
  if (bits !== KNOWN.bits) refuse(`weights came to ${bits} and must come to ${KNOWN.bits}`);
  if (!(Math.abs(loss - KNOWN.loss) <= TOLERANCE.loss)) refuse(`a loss of ${loss} must be ${KNOWN.loss}`);
  const largest = Math.max(...KNOWN.slopes.map(Math.abs));
  for (const [i, slope] of slopes.entries())
    if (!(Math.abs(slope - KNOWN.slopes[i]!) <= TOLERANCE.slope * largest))
      refuse(`a slope of ${slope} must be ${KNOWN.slopes[i]}`);
}
