/**
 * The keys of a run file: names, types, bounds, defaults and descriptions, once. Validation, flags, `--help` and the
 * published JSON Schema are all made from `keys`. Names are those of the Hugging Face Trainer where it has one.
 *
 * @module
 */
import { z } from 'zod';
import { RECIPES } from '../method/recipes.ts';
import { MAX_RANK } from '../numeric/noise.ts';
import { type DoorKeys, doorKeySchemas } from './door-keys.ts';
import { type ExchangeKeys, exchangeKeySchemas } from './exchange-keys.ts';
import { type PrivacyKeys, privacyKeySchemas } from './privacy-keys.ts';

/** A run file with its defaults filled in. Keys without a value of their own are derived in `config.ts`. */
export interface RunFile extends DoorKeys, ExchangeKeys, PrivacyKeys {
  readonly model: string;
  readonly revision: string;
  readonly hub_token: string | undefined;

  readonly data: string | undefined;
  readonly eval_data: string | undefined;
  readonly eval_fraction: number;
  readonly max_eval_samples: number | undefined;
  readonly max_train_samples: number | undefined;
  readonly shots: number | undefined;
  readonly task: string | undefined;
  readonly block_size: number;
  readonly prompt: string | undefined;
  readonly label_column: string;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly candidates_column: string;
  readonly answer_column: string;
  readonly answers_column: string | undefined;
  readonly max_new_tokens: number;
  readonly stop: string;
  readonly mlm_probability: number;

  readonly method: string;
  readonly objective: 'loss' | 'accuracy' | 'f1' | 'reward';
  readonly reward: string | undefined;
  readonly temperature: number;
  readonly estimator: 'spsa' | 'conservative' | 'forward_gradient';
  readonly optimizer: 'sgd' | 'sign' | 'normalised' | 'momentum' | 'scalar_adam' | 'adam';
  readonly momentum: number;
  readonly adam_beta1: number;
  readonly adam_beta2: number;
  readonly adam_epsilon: number;
  readonly optim: 'adamw' | 'sgd';
  readonly weight_decay: number;
  readonly max_grad_norm: number;
  readonly backprop_blocks: number;
  readonly zo_learning_rate: number | undefined;
  readonly adapter: 'none' | 'lora' | 'prefix' | 'prompt';
  readonly lora_r: number;
  readonly lora_alpha: number;
  readonly target_modules: string | undefined;
  readonly num_virtual_tokens: number;
  readonly adapter_folder: string | undefined;
  readonly lazy_rounds: number;
  readonly direction_pool: number | undefined;
  readonly shared_directions: number | undefined;
  readonly sparse: 'none' | 'random' | 'magnitude';
  readonly sparse_kept: string;
  readonly blocks_per_round: number | undefined;
  readonly direction: 'lowrank' | 'rademacher' | 'binomial';
  readonly rank: number;
  readonly last_blocks: number | undefined;
  readonly tensor_mask: string | undefined;
  readonly direction_per: 'sample' | 'batch' | undefined;
  readonly eps: number;
  readonly learning_rate: number | undefined;
  readonly lr_scheduler_type: 'constant' | 'linear' | 'cosine';
  readonly warmup_steps: number;
  readonly max_steps: number;
  readonly reduction: 'mean' | 'sqrt' | 'sum';
  readonly per_device_train_batch_size: number;
  readonly gradient_accumulation_steps: number;
  readonly forward_precision: 'f32' | 'int8';
  readonly seed: number;

  readonly output_dir: string;
  readonly peers: number;
  readonly min_peers: number | undefined;
  readonly eval_steps: number | undefined;
  readonly save_steps: number | undefined;
  readonly logging_steps: number;
  readonly report_to: 'none' | 'tensorboard';
  readonly resume_from_checkpoint: boolean | string | undefined;
  readonly guard: boolean;
  readonly name: string | undefined;
  readonly threads: number | undefined;
  readonly workers: number | undefined;
  readonly offload_folder: string | undefined;
}

/** How `--help` sorts the keys. */
export const GROUPS: Readonly<Record<'model' | 'data' | 'method' | 'run', readonly (keyof RunFile)[]>> = {
  model: ['model', 'revision', 'hub_token'],
  data: [
    ...(['data', 'eval_data', 'eval_fraction', 'max_eval_samples', 'max_train_samples', 'shots', 'task'] as const),
    ...(['block_size', 'prompt', 'label_column', 'labels', 'candidates_column', 'answer_column'] as const),
    ...(['answers_column', 'max_new_tokens', 'stop', 'mlm_probability'] as const),
  ],
  method: [
    ...(['objective', 'reward', 'temperature'] as const),
    ...(['method', 'estimator', 'optimizer', 'momentum', 'adam_beta1', 'adam_beta2', 'adam_epsilon'] as const),
    ...(['optim', 'weight_decay', 'max_grad_norm', 'backprop_blocks', 'zo_learning_rate'] as const),
    ...(['inner_steps', 'outer_learning_rate', 'outer_momentum', 'exchange_format', 'fragments'] as const),
    ...([
      'overlap_steps',
      'mixing',
      'data_parts',
      'dropped_shares',
      'aggregation',
      'byzantine',
      'shard_optimizer',
    ] as const),
    ...(['dp_noise_multiplier', 'dp_clip', 'dp_epochs', 'dp_delta'] as const),
    ...(['adapter', 'lora_r', 'lora_alpha', 'target_modules', 'num_virtual_tokens', 'adapter_folder'] as const),
    ...(['lazy_rounds', 'direction_pool', 'shared_directions', 'sparse', 'sparse_kept', 'blocks_per_round'] as const),
    ...([
      'direction',
      'rank',
      'last_blocks',
      'tensor_mask',
      'direction_per',
      'eps',
      'learning_rate',
      'lr_scheduler_type',
    ] as const),
    ...([
      'warmup_steps',
      'max_steps',
      'reduction',
      'per_device_train_batch_size',
      'gradient_accumulation_steps',
      'forward_precision',
      'seed',
    ] as const),
  ],
  run: [
    ...(['output_dir', 'peers', 'min_peers', 'eval_steps', 'save_steps', 'logging_steps', 'guard', 'audit'] as const),
    ...(['report_to', 'resume_from_checkpoint'] as const),
    ...(['host', 'port', 'tls_cert', 'tls_key', 'admission', 'allow'] as const),
    ...(['code', 'store', 'nats_creds', 'name', 'threads', 'workers', 'offload_folder'] as const),
  ],
};

const U32 = 0xffff_ffff;
const count = (least: number) => z.int().min(least).max(1_000_000_000);
const text = () => z.string().min(1);
export const OFFLOAD = 'Folder on a fast disk for the blocks of a model that does not fit into memory.';

export const keys: { readonly [K in keyof RunFile]: z.ZodType<RunFile[K]> } = {
  model: text().describe('Base checkpoint: a folder with config.json, safetensors and tokenizer.json, or a Hub id.'),
  revision: text().default('main').describe('Branch, tag or commit of a Hub id.'),
  hub_token: text()
    .optional()
    .describe('Token for gated models on the Hub. HF_TOKEN in the environment does the same.'),

  data: text()
    .optional()
    .describe(
      'Training data: a .txt file; rows as .jsonl, .json, .csv, .tsv or .parquet; or hub:owner/name[/config][:split].',
    ),
  eval_data: text().optional().describe('Held-out data of the same form. Without it the end of `data` is held out.'),
  eval_fraction: z.number().gt(0).lt(1).default(0.1).describe('Part of `data` held out at its end, without eval_data.'),
  max_eval_samples: count(1).optional().describe('Evaluate on the first so many held-out samples only.'),
  max_train_samples: count(1).optional().describe('Learn from so many rows only, drawn by the seed.'),
  shots: count(1)
    .optional()
    .describe(
      'Learn from so many rows of every class, drawn by the seed; without eval_data as many more are held out.',
    ),
  task: text()
    .optional()
    .describe(
      'lm: predict the next token of text. choice: tell classes apart by label words; the default with a prompt. candidates: pick one of several texts. answer: write a text. masked_lm: fill in hidden tokens. Or a name out of "murmur tasks", or a .yaml file.',
    ),
  block_size: count(1).default(64).describe('lm, masked_lm: tokens of a sample.'),
  prompt: text()
    .optional()
    .describe(
      'choice, or in place of a task\'s own: the text before the label word or answer, such as "{text} It was"; for a masked model around it, such as "{text} It was {mask}.". {{ and }} are braces.',
    ),
  label_column: text().default('label').describe('choice: column that holds the class.'),
  labels: z
    .record(z.string(), text())
    .optional()
    .describe('choice: word for each value of the label column. As a flag: --labels "0= terrible,1= great".'),
  candidates_column: text().default('candidates').describe('candidates: column of the list of texts to choose from.'),
  answer_column: text().default('answer').describe('candidates: column of the index of the right one, or of several.'),
  answers_column: text()
    .optional()
    .describe('answer: column of the accepted answer, or of a list. Default: answers; with a reward, none is needed.'),
  max_new_tokens: z.int().min(1).max(100_000).default(32).describe('answer: tokens to write at most.'),
  stop: z
    .string()
    .default('\\n')
    .describe('answer: texts to end before, with | between them; \\n is the end of a line.'),
  mlm_probability: z.number().gt(0).lt(1).default(0.15).describe('masked_lm: part of the tokens that is hidden.'),

  method: z
    .enum(RECIPES.map(({ name }) => name))
    .default('onebyte')
    .describe('What sets the keys below as its paper has them; "murmur methods" lists all. Keys that are given win.'),
  objective: z
    .enum(['loss', 'accuracy', 'f1', 'reward'])
    .default('loss')
    .describe('What is made small, or large: loss, or share of right predictions, F1 of what is written, a reward.'),
  reward: text()
    .optional()
    .describe('objective reward: module (.ts, .js) whose default export gives a number for {prompt, completion, row}.'),
  temperature: z
    .number()
    .min(0)
    .max(100)
    .default(0)
    .describe('objective f1, reward: of the texts that are measured. 0 takes the likeliest token.'),
  estimator: z
    .enum(['spsa', 'conservative', 'forward_gradient'])
    .default('spsa')
    .describe(
      'spsa: two losses. conservative: and the step is kept, turned or dropped by three more. Or a derivative.',
    ),
  optimizer: z
    .enum(['sgd', 'sign', 'normalised', 'momentum', 'scalar_adam', 'adam'])
    .default('sgd')
    .describe('From slopes to a step: as they are, their signs, over their spread, or with a memory of earlier ones.'),
  momentum: z
    .number()
    .min(0)
    .lt(1)
    .default(0.9)
    .describe('optimizer momentum, optim sgd: what stays of the step before.'),
  adam_beta1: z.number().min(0).lt(1).default(0.9).describe('Adam: decay of the mean.'),
  adam_beta2: z.number().min(0).lt(1).default(0.999).describe('Adam: decay of the mean square.'),
  adam_epsilon: z.number().gt(0).max(1).default(1e-8).describe('Adam: added to the root of the mean square.'),
  optim: z
    .enum(['adamw', 'sgd'])
    .default('adamw')
    .describe('Methods with gradients: from a gradient to a step: AdamW with adam_*, or SGD with momentum.'),
  weight_decay: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('Methods with gradients: decay of matrices, times the rate.'),
  max_grad_norm: z
    .number()
    .min(0)
    .default(1)
    .describe('Methods with gradients: clips the norm of a gradient; 0: no limit.'),
  ...exchangeKeySchemas,
  ...privacyKeySchemas,
  backprop_blocks: count(1).default(1).describe('hybrid: blocks at the end that are trained by backpropagation.'),
  zo_learning_rate: z
    .number()
    .gt(0)
    .optional()
    .describe('hybrid: peak rate of what comes before these blocks. The default is that of onebyte.'),
  adapter: z
    .enum(['none', 'lora', 'prefix', 'prompt'])
    .default('none')
    .describe('Train what is added to the model instead of the model: low-rank matrices, keys and values, embeddings.'),
  lora_r: z.int().min(1).max(MAX_RANK).default(8).describe('lora: rank of the added matrices.'),
  lora_alpha: z.number().gt(0).max(1e6).default(16).describe('lora: what is added is scaled by lora_alpha / lora_r.'),
  target_modules: text()
    .optional()
    .meta({ examples: ['q_proj,v_proj'] })
    .describe('lora: ends of the names of the matrices, with commas. Default: those of queries and values.'),
  num_virtual_tokens: count(1).default(5).describe('prefix, prompt: length of what is added before every text.'),
  adapter_folder: text()
    .optional()
    .describe('Folder of an adapter in the layout of PEFT to start from. The keys above must agree with it.'),
  lazy_rounds: count(1).default(1).describe('lowrank: rounds that the column factors of directions last (LOZO).'),
  direction_pool: count(1)
    .max(65_536)
    .optional()
    .describe('Directions of the whole run, drawn again and again (FedKSeed).'),
  shared_directions: count(1)
    .max(65_536)
    .optional()
    .describe('Directions of a round that all peers measure, on their own samples (DeComFL). Default: one a record.'),
  sparse: z
    .enum(['none', 'random', 'magnitude'])
    .default('none')
    .describe('Dense directions move a part of the elements only: random ones, or those of small weights.'),
  sparse_kept: z
    .string()
    .regex(/^[1-9]\d{0,5}\/[1-9]\d{0,5}$/)
    .meta({ examples: ['1/5'] })
    .default('1/5')
    .describe('sparse: the part that moves.'),
  blocks_per_round: count(1).optional().describe('A round moves so many neighbouring blocks, in turn. Default: all.'),
  direction: z
    .enum(['lowrank', 'rademacher', 'binomial'])
    .default('lowrank')
    .describe('Random directions: low-rank (many are measured at once), dense signs, or dense bell-shaped ones.'),
  rank: z.int().min(1).max(MAX_RANK).default(1).describe('Outer products of a low-rank direction.'),
  last_blocks: count(1)
    .optional()
    .describe('Train only so many blocks at the end, the norm after them and a head of its own. Default: everything.'),
  tensor_mask: z
    .string()
    .regex(/^[1-9]\d{0,5}\/[1-9]\d{0,5}$/)
    .meta({ examples: ['1/4'] })
    .optional()
    .describe('Part of the tensors that a round moves, drawn anew each time, such as 1/4. Default: all of them.'),
  direction_per: z
    .enum(['sample', 'batch'])
    .optional()
    .describe('One direction and one byte for each sample (default of lowrank), or for each batch (of the others).'),
  eps: z.number().gt(0).max(1).default(1e-3).describe('Half the distance between the two losses of a measurement.'),
  learning_rate: z
    .number()
    .gt(0)
    .optional()
    .describe('Peak learning rate. The default depends on the method and on how many weights are trained.'),
  lr_scheduler_type: z.enum(['constant', 'linear', 'cosine']).default('linear').describe('How the rate goes to zero.'),
  warmup_steps: count(0).default(0).describe('Rounds over which the rate rises to its peak.'),
  max_steps: count(1).default(100).describe('Rounds of the run; of diloco, inner steps of a peer.'),
  reduction: z
    .enum(['mean', 'sqrt', 'sum'])
    .default('mean')
    .describe('The sum of N gradients is divided by N, by its square root, or not at all.'),
  per_device_train_batch_size: count(1).default(16).describe('Samples of a batch.'),
  gradient_accumulation_steps: count(1).default(1).describe('Batches of a peer in a round.'),
  forward_precision: z
    .enum(['f32', 'int8'])
    .default('f32')
    .describe('Losses are measured with weights as floats, or as bytes: faster, lowrank only, and eps must be larger.'),
  seed: z.int().min(0).max(U32).default(42).describe('Makes the run, its noise and its data order another one.'),

  output_dir: text().default('out').describe('Folder of the journal, checkpoints and the result.'),
  peers: z.int().min(0).max(1024).default(1).describe('Peers to start as processes on this machine.'),
  min_peers: z.int().min(1).max(1024).optional().describe('Peers to wait for before the first round.'),
  eval_steps: count(1).optional().describe('Rounds between evaluations. Default: a twentieth of max_steps.'),
  save_steps: count(1)
    .optional()
    .describe(
      'Rounds between checkpoints. Default: when replaying the last ones takes longer than a download; alone: at the end.',
    ),
  logging_steps: count(1).default(1).describe('Rounds between lines of progress.'),
  report_to: z
    .enum(['none', 'tensorboard'])
    .default('tensorboard')
    .describe('Beside metrics.jsonl: event files for TensorBoard, below output_dir/runs.'),
  resume_from_checkpoint: z
    .union([z.boolean(), text()])
    .optional()
    .meta({ examples: ['true', 'out/checkpoint-50'] })
    .describe('Go on with the run in output_dir (true) or in this folder, from its last checkpoint, or refuse.'),
  guard: z
    .boolean()
    .default(true)
    .describe('Stop a run whose held-out loss climbs far above the base, or does not move.'),
  ...doorKeySchemas,
  name: text().max(64).optional().describe('What others see this machine as. Default: its host name.'),
  threads: z.int().min(1).max(1024).optional().describe('Threads of each peer. Default: the cores, shared out.'),
  workers: z
    .int()
    .min(1)
    .max(1024)
    .optional()
    .describe(
      'Replicas of each peer that its threads are shared out to; each holds the weights. Default: what is fastest.',
    ),
  offload_folder: text().optional().describe(OFFLOAD),
};

/** Unknown keys are refused. */
export const runFile: z.ZodType<RunFile> & z.ZodObject = z.strictObject(keys);

/** What a key takes, out of its JSON Schema. */
export interface Property {
  readonly type?: 'string' | 'number' | 'integer' | 'boolean' | 'object' | 'array';
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
  readonly examples?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

/** The properties of an object schema, in their order. */
export const propertiesOf = (schema: z.ZodObject): Readonly<Record<string, Property>> =>
  z.toJSONSchema(schema, { io: 'input' }).properties as Readonly<Record<string, Property>>;

/** The published schema of run files. */
export function jsonSchema(): Readonly<Record<string, unknown>> {
  const { $schema, ...rest } = z.toJSONSchema(runFile, { io: 'input' });
  return { $schema, title: 'Murmur run file', ...rest };
}
