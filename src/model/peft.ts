/**
 * Adapters as the folders that PEFT reads and writes: `adapter_config.json` and `adapter_model.safetensors`. Our tensors
 * stand in PEFT's one for one, a prefix's as columns of its only one.
 *
 * @module
 */
import { z } from 'zod';
import { Fault } from '../faults.ts';
import { size } from '../graph/shape.ts';
import { type AdapterView, isTarget, moduleOf, PREFIX_KEY, PREFIX_VALUE } from './adapter.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { ModelConfig } from './config.ts';
import { type ExportFile, type ExportTensor, trained, weightsFile } from './export.ts';
import type { Adapter, Model } from './stage.ts';

export const ADAPTER_CONFIG = 'adapter_config.json';
export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';
const EMBEDDINGS = 'prompt_embeddings';

/** Whether a file of a base holds tensors of the model itself. */
export const isShard = (name: string): boolean => name.endsWith('.safetensors') && name !== ADAPTER_WEIGHTS;

type Adapted = Model & { readonly adapter: Adapter };

/** Where a tensor of ours, (rows, width), lies in one of PEFT's. */
interface Place {
  readonly stored: string;
  /** Of `stored`. */
  readonly shape: readonly number[];
  /** First of our columns in it. */
  readonly column: number;
}

function loraName({ starts: [stored, canonical] }: Adapter, name: string): string {
  return `base_model.model.${canonical}${name.slice(stored.length)}`;
}

/** By our name. */
function placesOf({ adapter, tensors, blocks }: Adapted): ReadonlyMap<string, Place> {
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  const own = adapter.tensors.map((name) => ({ name, shape: shapes.get(name)! }));
  if ('lora' in adapter.view)
    return new Map(own.map(({ name, shape }) => [name, { stored: loraName(adapter, name), shape, column: 0 }]));
  if ('prompt' in adapter.view)
    return new Map(own.map(({ name, shape }) => [name, { stored: EMBEDDINGS, shape, column: 0 }]));
  const m = adapter.view.prefix.tokens;
  // The order of the cache: keys of block 0, its values, keys of block 1 …
  const inOrder = blocks.flatMap(({ bindings }) =>
    [PREFIX_KEY, PREFIX_VALUE].map((end) => bindings.find(({ input }) => input.endsWith(end))!.tensor),
  );
  const widths = inOrder.map((name) => shapes.get(name)![1]!);
  const all = widths.reduce((a, b) => a + b, 0);
  let column = 0;
  return new Map(
    inOrder.map((name, i) => {
      const place = { stored: EMBEDDINGS, shape: [m, all], column };
      column += widths[i]!;
      return [name, place];
    }),
  );
}

/** Reads the adapter's tensors, all of them checked first. @throws {Fault} MODEL_INVALID naming the tensor */
export function adapterReader(model: Adapted, checkpoint: Checkpoint): (name: string) => Promise<Float32Array> {
  const places = placesOf(model);
  const shapes = new Map(model.tensors.map(({ name, shape }) => [name, shape]));
  const wrong = (what: string) => new Fault('MODEL_INVALID', `${ADAPTER_WEIGHTS}: ${what}; name another adapter`);
  for (const { stored, shape } of places.values()) {
    const found = checkpoint.tensors.get(stored)?.shape;
    if (!found) throw wrong(`holds no tensor "${stored}"`);
    if (found.join() !== shape.join()) throw wrong(`tensor "${stored}" is (${found}) and must be (${shape})`);
  }
  const known = new Set([...places.values()].map(({ stored }) => stored));
  const stray = [...checkpoint.tensors.keys()].find((name) => !known.has(name));
  if (stray !== undefined) throw wrong(`tensor "${stray}" has no place in the model`);
  return async (name) => {
    const { stored, shape, column } = places.get(name)!;
    const [rows = 0, width = 0] = shapes.get(name)!;
    const whole = await checkpoint.read(stored);
    if (width === shape[1]) return whole;
    const out = new Float32Array(rows * width);
    for (let r = 0; r < rows; r++) {
      const start = r * shape[1]! + column;
      out.set(whole.subarray(start, start + width), r * width);
    }
    return out;
  };
}

/** @param read our tensors. @returns PEFT's, in the order they will lie in the file. */
function peftTensors(model: Adapted, read: (name: string) => Promise<Float32Array>): readonly ExportTensor[] {
  const places = placesOf(model);
  if ('lora' in model.adapter.view)
    return [...places].map(([name, { stored, shape }]) => trained({ name: stored, shape }, () => read(name)));
  const shapes = new Map(model.tensors.map(({ name, shape }) => [name, shape]));
  const [{ shape }] = [...places.values()] as [Place];
  const whole = async (): Promise<Float32Array> => {
    const out = new Float32Array(size(shape));
    for (const [name, { column }] of places) {
      const x = await read(name);
      const width = shapes.get(name)![1]!;
      for (let r = 0; r < shape[0]!; r++) out.set(x.subarray(r * width, (r + 1) * width), r * shape[1]! + column);
    }
    return out;
  };
  return [trained({ name: EMBEDDINGS, shape }, whole)];
}

const headsOf = (config: ModelConfig): number => ('keyValueHeads' in config ? config.keyValueHeads : config.heads);

/** What PEFT's configuration classes ask for, by the kind of adapter. */
function peftKeys(model: Adapted, config: ModelConfig): Readonly<Record<string, unknown>> {
  const { view, tensors } = model.adapter;
  if ('lora' in view) {
    const { rank: r, alpha, targets } = view.lora;
    const modules = tensors.map((name) => name.replace(/\.lora_[AB]\.weight$/, ''));
    return {
      peft_type: 'LORA',
      r,
      lora_alpha: alpha,
      target_modules: targets.filter((target) => modules.some((module) => isTarget(module, target))),
      lora_dropout: 0,
      bias: 'none',
      fan_in_fan_out: false,
    };
  }
  const isPrefix = 'prefix' in view;
  const width = isPrefix ? model.tensors.find(({ name }) => name === tensors[0])!.shape[1]! : model.hidden;
  return {
    peft_type: isPrefix ? 'PREFIX_TUNING' : 'PROMPT_TUNING',
    num_virtual_tokens: isPrefix ? view.prefix.tokens : view.prompt.tokens,
    num_layers: model.blocks.length,
    num_attention_heads: isPrefix ? headsOf(config) : config.heads,
    token_dim: width,
    num_transformer_submodules: 1,
    ...(isPrefix ? { encoder_hidden_size: width, prefix_projection: false } : { prompt_tuning_init: 'RANDOM' }),
  };
}

/** A PEFT folder. @param base name of the base. @param read our tensors. */
export function peftFiles(
  model: Adapted,
  config: ModelConfig,
  base: string,
  read: (name: string) => Promise<Float32Array>,
): readonly ExportFile[] {
  const keys = {
    ...peftKeys(model, config),
    base_model_name_or_path: base,
    task_type: 'CAUSAL_LM',
    inference_mode: true,
  };
  const text = new TextEncoder().encode(`${JSON.stringify(keys, null, 2)}\n`);
  return [
    {
      path: ADAPTER_CONFIG,
      async *chunks() {
        yield text;
      },
    },
    weightsFile(ADAPTER_WEIGHTS, peftTensors(model, read)),
  ];
}

const none = z.union([z.null(), z.literal(false), z.array(z.unknown()).max(0), z.strictObject({})]).optional();
const lora = z.object({
  peft_type: z.literal('LORA'),
  r: z.int(),
  lora_alpha: z.number(),
  bias: z.literal('none').default('none'),
  ...{ use_rslora: none, use_dora: none, modules_to_save: none, rank_pattern: none, alpha_pattern: none },
});
const virtual = {
  num_virtual_tokens: z.int(),
  num_transformer_submodules: z.union([z.null(), z.literal(1)]).optional(),
};
const CONFIGS = {
  lora,
  prefix: z.object({ peft_type: z.literal('PREFIX_TUNING'), ...virtual }),
  prompt: z.object({ peft_type: z.literal('PROMPT_TUNING'), ...virtual }),
};

/**
 * Whether a file describes the adapter of a view.
 * @param json the text of `adapter_config.json`. @throws {Fault} CONFIG_INVALID naming the key in which it differs
 */
export function checkAdapterConfig(json: string, view: AdapterView): void {
  const wrong = (what: string, cause?: unknown) => new Fault('CONFIG_INVALID', `${ADAPTER_CONFIG}: ${what}`, { cause });
  let raw: unknown;
  try {
    raw = JSON.parse(json);
  } catch (cause) {
    throw wrong('is not JSON; name another adapter', cause);
  }
  const [kind] = Object.keys(view) as (keyof typeof CONFIGS)[];
  const read = CONFIGS[kind!].safeParse(raw);
  if (!read.success) {
    const { path, message } = read.error.issues[0]!;
    throw wrong(`"${path.join('.')}": ${message}, for adapter ${kind}; take another adapter, or another kind`);
  }
  const wanted: Readonly<Record<string, number>> =
    'lora' in view
      ? { r: view.lora.rank, lora_alpha: view.lora.alpha }
      : { num_virtual_tokens: 'prefix' in view ? view.prefix.tokens : view.prompt.tokens };
  const found = read.data as Readonly<Record<string, unknown>>;
  const flags: Readonly<Record<string, string>> = { r: 'lora_r' };
  for (const [key, value] of Object.entries(wanted))
    if (found[key] !== value)
      throw wrong(`"${key}" is ${found[key]} and the run has ${value}; give --${flags[key] ?? key} ${found[key]}`);
}

/**
 * W + (alpha / r) B A in doubles, rounded to f32 once.
 * @param w (out, in) @param a (r, in) @param b (out, r), all row-major.
 */
export function merged(
  w: Float32Array,
  a: Float32Array,
  b: Float32Array,
  { rank, alpha }: { readonly rank: number; readonly alpha: number },
): Float32Array {
  const out = new Float32Array(w.length);
  const width = a.length / rank;
  for (let i = 0; i < out.length; i++) {
    const row = Math.floor(i / width);
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += b[row * rank + k]! * a[k * width + (i % width)]!;
    out[i] = w[i]! + (alpha / rank) * sum;
  }
  return out;
}

/** Names of A and B beside a matrix. */
export const loraBeside = (name: string): readonly [a: string, b: string] => [
  `${moduleOf(name)}.lora_A.weight`,
  `${moduleOf(name)}.lora_B.weight`,
];
