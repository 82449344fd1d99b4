/**
 * Run files and flags → the configuration of a run. Flags win over the file, the file over the environment, that over
 * the defaults.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Fault } from '../faults.ts';
import { RECIPES } from '../method/recipes.ts';
import { QUERIES_AND_VALUES } from '../model/adapter.ts';
import type { BlobRef, Direction, Manifest, Task, TensorMask, View } from '../nouns.ts';
import { promisesOf } from '../optimizer/algebra.ts';
import { agreeAlone, hasGradients } from './alone.ts';
import { check } from './check.ts';
import { agreeExchange, asRounds, isExchange, votesOf } from './exchange.ts';
import { keys, type RunFile, runFile } from './keys.ts';
import { privacyOf } from './privacy-keys.ts';
import { type Resume, resumeOf } from './resume.ts';
import { chooseTask, type TaskChoice } from './task.ts';
import { readYaml } from './yaml.ts';

/** A run file with everything derived but what depends on the model: `rate.ts`. */
export interface RunConfig extends RunFile {
  /** What the key `task` came to. */
  readonly task: Task['kind'];
  readonly tasks: TaskChoice;
  readonly direction_per: 'sample' | 'batch';
  readonly min_peers: number;
  readonly eval_steps: number;
  /** Where it goes on, if it must: `output_dir` is its folder then. */
  readonly resume: Resume | undefined;
}

export type Source = 'default' | 'method' | 'environment' | 'file' | 'flag';

export interface Loaded {
  readonly config: RunConfig;
  /** Where each key got its value. */
  readonly sources: Readonly<Record<keyof RunFile, Source>>;
}

/**
 * @param file the run file, if there is one. @param flags as `parseArgv` gives them. @param env for HF_TOKEN.
 * @param readText the text of a task's file.
 * @throws {Fault} CONFIG_INVALID naming the flag, or the file and line; FILE_MISSING for a task's file
 */
export function loadConfig(
  file: { readonly name: string; readonly text: string } | undefined,
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  readText: (path: string) => string = textFile,
): Loaded {
  const written = file ? readYaml(file.name, file.text, RUN_FILE) : { values: {}, lines: new Map<string, number>() };
  const environment = env['HF_TOKEN'] ? { hub_token: env['HF_TOKEN'] } : {};
  const method = RECIPES.find(({ name }) => name === (flags['method'] ?? written.values['method']));
  const layers: readonly (readonly [Source, Readonly<Record<string, unknown>>])[] = [
    ['method', method?.keys ?? {}],
    ['environment', environment],
    ['file', written.values],
    ['flag', flags],
  ];
  const sourceOf = (key: string): Source =>
    layers.findLast(([, values]) => Object.hasOwn(values, key))?.[0] ?? 'default';
  const where = (key: string): string =>
    ({
      default: key,
      method: `method ${method?.name}: ${key}`,
      environment: 'HF_TOKEN',
      file: `${file?.name}:${written.lines.get(key) ?? 1}: ${key}`,
      flag: `--${key}`,
    })[sourceOf(key)];
  const values = Object.assign({}, ...layers.map(([, layer]) => layer)) as Record<string, unknown>;
  const checked = check(runFile, values, where);
  const given = (key: keyof RunFile): boolean => sourceOf(key) !== 'default';
  const refuse = (key: keyof RunFile, detail: string): never => {
    throw new Fault('CONFIG_INVALID', `${where(key)}: ${detail}`);
  };
  const tasks = chooseTask(checked, given, refuse, readText);
  agree(checked, tasks, given, refuse);
  const sources = Object.fromEntries(Object.keys(keys).map((key) => [key, sourceOf(key)])) as Loaded['sources'];
  return { config: derive(checked, tasks), sources };
}

const RUN_FILE = 'a run file; write "key: value" lines, as "murmur schema" describes';

/** @throws {Fault} FILE_MISSING */
function textFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new Fault('FILE_MISSING', `${path} cannot be read; check the path of the task`, { cause });
  }
}

/** What two keys must agree on. @throws {Fault} CONFIG_INVALID */
function agree(
  run: RunFile,
  tasks: TaskChoice,
  given: (key: keyof RunFile) => boolean,
  refuse: (key: keyof RunFile, detail: string) => never,
): void {
  if (run.data === undefined && tasks.hub === undefined)
    throw new Fault('CONFIG_INVALID', 'data is missing; give --data or "data:" in a run file');
  if (run.shots !== undefined && run.max_train_samples !== undefined)
    refuse('max_train_samples', 'and shots are two answers to one question; leave one out');
  const judged = OBJECTIVE_TASKS[run.objective];
  const { kind } = tasks.causal;
  if (!judged.includes(kind)) refuse('objective', `${run.objective} is for task ${judged.join(' and ')}, not ${kind}`);
  if ((run.objective === 'reward') !== (run.reward !== undefined))
    refuse('reward', 'and objective reward go together; give both or none');
  if (given('temperature') && run.objective !== 'f1' && run.objective !== 'reward')
    refuse('temperature', 'is for objective f1 and reward; leave it out');
  if (run.direction !== 'lowrank' && run.rank !== 1)
    refuse('rank', `is for direction lowrank, not ${run.direction}; leave it out`);
  if (run.direction !== 'lowrank' && run.forward_precision !== 'f32')
    refuse(
      'forward_precision',
      `${run.forward_precision} is for direction lowrank, as rounding loses eps in ${run.direction} ones; take f32`,
    );
  for (const [key, kinds] of OPTIMIZER_KEYS)
    if (given(key) && !hasGradients(run) && !kinds.includes(run.optimizer))
      refuse(key, `is for optimizer ${kinds.join(' and ')}, not ${run.optimizer}; leave it out`);
  if (run.estimator === 'conservative') {
    if (run.optimizer !== 'sgd')
      refuse(
        'optimizer',
        `${run.optimizer} takes another step than the one that estimator conservative tries; take sgd`,
      );
    if (run.forward_precision !== 'f32')
      refuse('forward_precision', 'int8 drowns the difference that estimator conservative looks for; take f32');
  }
  const { snapshots } = promisesOf({ optimizer: optimizerOf(run) });
  if (given('save_steps') && !snapshots.holds)
    refuse('save_steps', `has no use with optimizer ${run.optimizer}: ${snapshots.why}; leave it out`);
  if (run.direction !== 'lowrank' && run.lazy_rounds !== 1)
    refuse('lazy_rounds', `is for direction lowrank, not ${run.direction}; leave it out`);
  if (run.lazy_rounds !== 1 && run.direction_pool !== undefined)
    refuse('lazy_rounds', 'has no meaning beside direction_pool, as no round draws any; leave one of them out');
  if (run.direction_pool !== undefined && run.shared_directions !== undefined)
    refuse('shared_directions', 'and direction_pool are two answers to one question; leave one out');
  if (run.sparse !== 'none' && run.direction === 'lowrank')
    refuse('sparse', 'is for dense directions; add --direction rademacher');
  if (run.adapter !== 'none' && run.last_blocks !== undefined)
    refuse('last_blocks', `has no meaning beside adapter ${run.adapter}; leave one of them out`);
  if (run.adapter === 'none' && run.adapter_folder !== undefined)
    refuse('adapter_folder', 'needs to be told what kind it is; add --adapter lora, prefix or prompt');
  const sparse = partOf(run.sparse_kept);
  if (run.sparse !== 'none' && sparse.kept >= sparse.of)
    refuse('sparse_kept', 'keeps everything; take a part below 1, or leave sparse out');
  const mask = tensorMaskOf(run);
  if (mask && mask.kept >= mask.of) refuse('tensor_mask', 'keeps everything; take a part below 1, or leave it out');
  if (run.warmup_steps > run.max_steps) refuse('warmup_steps', `is more than max_steps, ${run.max_steps}; lower it`);
  if (run.eval_data !== undefined && given('eval_fraction')) {
    refuse('eval_fraction', 'has no meaning beside eval_data; leave one of them out');
  }
  if (run.workers !== undefined && run.threads !== undefined && run.workers > run.threads)
    refuse('workers', `is more than threads, ${run.threads}; lower it, or leave threads out`);
  const resume = resumeOf(run.resume_from_checkpoint, run.output_dir);
  if (resume && given('output_dir') && resolve(resume.folder) !== resolve(run.output_dir))
    refuse(
      'resume_from_checkpoint',
      `is in ${resume.folder}, not in output_dir, ${run.output_dir}: a run goes on where its journal is; leave output_dir out, or copy the folder and name the copy`,
    );
  if ((run.admission === 'allow-list') !== (run.allow !== undefined))
    refuse('allow', 'and admission allow-list go together; give both or none');
  if (run.admission === 'open' && run.code !== undefined)
    refuse('code', 'is no secret where admission is open; leave it out');
  agreeAlone(run, given, refuse);
  agreeExchange(run, given, refuse);
  if (run.audit > 0) agreeAudit(run, refuse);
  agreePrivacy(run, given, refuse);
  if (run.peers === 0 && run.min_peers === undefined) {
    refuse('peers', '0 starts none here; say with min_peers how many to wait for');
  }
}

/** Audits compare what peers measured of the same records. */
function agreeAudit(run: RunFile, refuse: (key: keyof RunFile, detail: string) => never): void {
  if (isExchange(run) || hasGradients(run)) refuse('audit', `is for bytes, not method ${run.method}; leave it out`);
  if (run.objective !== 'loss')
    refuse('audit', `cannot be with objective ${run.objective}, which devices may see differently; leave it out`);
  if (run.estimator === 'conservative')
    refuse('audit', 'cannot be with estimator conservative, whose decisions a rounding turns; leave it out');
  if ((run.min_peers ?? run.peers) < 3) refuse('audit', 'takes three peers or more; raise min_peers, or leave it out');
}

/** Noise is made for the slopes of losses, and the sum of a batch. */
function agreePrivacy(
  run: RunFile,
  given: (key: keyof RunFile) => boolean,
  refuse: (key: keyof RunFile, detail: string) => never,
): void {
  if (run.dp_noise_multiplier === undefined) {
    for (const key of ['dp_clip', 'dp_epochs', 'dp_delta'] as const)
      if (given(key)) refuse(key, 'is for a run with noise; give dp_noise_multiplier too');
    return;
  }
  if (isExchange(run) || hasGradients(run))
    refuse('dp_noise_multiplier', `is for bytes, not method ${run.method}; leave it out`);
  if (run.objective !== 'loss' || run.estimator === 'conservative')
    refuse('dp_noise_multiplier', 'is for slopes of the loss; leave objective and estimator conservative out');
  if (run.audit > 0) refuse('audit', 'cannot be with dp_noise_multiplier, as honest codes differ; leave it out');
}

/** Which optimizers have a use for a key. */
const OPTIMIZER_KEYS: readonly (readonly [keyof RunFile, readonly RunFile['optimizer'][]])[] = [
  ['momentum', ['momentum']],
  ['adam_beta1', ['scalar_adam', 'adam']],
  ['adam_beta2', ['scalar_adam', 'adam']],
  ['adam_epsilon', ['scalar_adam', 'adam']],
];

/** Tasks whose samples an objective can judge. */
const OBJECTIVE_TASKS: Readonly<Record<RunFile['objective'], readonly Task['kind'][]>> = {
  loss: ['lm', 'masked_lm', 'choice', 'candidates', 'answer'],
  accuracy: ['choice', 'candidates'],
  f1: ['answer'],
  reward: ['answer'],
};

function derive(run: RunFile, tasks: TaskChoice): RunConfig {
  const min_peers = run.min_peers ?? run.peers;
  const resume = resumeOf(run.resume_from_checkpoint, run.output_dir);
  const perSample = run.direction === 'lowrank' && run.dp_noise_multiplier === undefined;
  const direction_per = run.direction_per ?? (perSample ? 'sample' : 'batch');
  return {
    ...run,
    task: tasks.causal.kind,
    tasks,
    direction_per,
    min_peers,
    eval_steps: asRounds(run, run.eval_steps ?? Math.max(1, Math.ceil(run.max_steps / 20))),
    save_steps: run.save_steps && asRounds(run, run.save_steps),
    ...{ resume, output_dir: resume?.folder ?? run.output_dir },
  };
}

/**
 * How a round is cut into records. A direction per sample: a byte for each sample. A direction per batch: a byte for
 * each batch.
 */
export function recordsOf(run: RunConfig): {
  readonly records_per_round: number;
  readonly samples_per_record: number;
} {
  const batches = Math.max(run.peers, run.min_peers) * run.gradient_accumulation_steps;
  const size = run.per_device_train_batch_size;
  return run.direction_per === 'sample'
    ? { records_per_round: batches * size, samples_per_record: 1 }
    : { records_per_round: batches, samples_per_record: size };
}

/** The direction of the manifest: unit variance, see `Direction`. */
export const directionOf = ({ direction: kind, rank, lazy_rounds: lazy }: RunConfig): Direction => ({
  kind,
  rank,
  scale: kind === 'lowrank' ? 1 / Math.sqrt(rank) : kind === 'binomial' ? 0.5 : 1,
  ...(lazy > 1 ? { lazy } : {}),
});

/** `1/4` as numbers. */
export const partOf = (text: string): TensorMask => {
  const [kept, of] = text.split('/').map(Number);
  return { kept: kept!, of: of! };
};

/** The tensor mask of the manifest: `1/4` keeps one tensor of four. */
export const tensorMaskOf = ({ tensor_mask }: Pick<RunFile, 'tensor_mask'>): TensorMask | undefined =>
  tensor_mask === undefined ? undefined : partOf(tensor_mask);

/** The view of the manifest. */
export function viewFrom(run: RunConfig): View {
  const tokens = run.num_virtual_tokens;
  switch (run.adapter) {
    case 'lora':
      return {
        lora: {
          rank: run.lora_r,
          alpha: run.lora_alpha,
          targets: run.target_modules?.split(',').map((name) => name.trim()) ?? QUERIES_AND_VALUES,
        },
      };
    case 'prefix':
      return { prefix: { tokens } };
    case 'prompt':
      return { prompt: { tokens } };
    case 'none':
      return run.last_blocks === undefined ? 'full' : { last_blocks: run.last_blocks };
  }
}

/** Rounds after which less than a thousandth is left of a step's momentum. */
const windowOf = (beta: number): number =>
  beta === 0 ? 1 : Math.min(1024, Math.ceil(Math.log(1e-3) / Math.log(beta)));

function optimizerOf(run: RunFile): Manifest['optimizer'] {
  const adam = { beta1: run.adam_beta1, beta2: run.adam_beta2, epsilon: run.adam_epsilon };
  switch (run.optimizer) {
    case 'sgd':
      return undefined;
    case 'momentum':
      return { kind: 'momentum', beta: run.momentum, window: windowOf(run.momentum) };
    case 'scalar_adam':
      return { kind: 'scalar_adam', ...adam, window: windowOf(adam.beta1) };
    case 'adam':
      return { kind: 'adam', ...adam };
    default:
      return { kind: run.optimizer };
  }
}

const directionsOf = ({ direction_pool: pool, shared_directions: shared }: RunConfig): Manifest['directions'] =>
  pool !== undefined ? { pool } : shared !== undefined ? { shared } : undefined;

/** Keys of the manifest that stand there only where they say something. */
export function optionalKeys(run: RunConfig, reward?: BlobRef): Partial<Manifest> {
  const keys = {
    objective: run.objective === 'loss' ? undefined : run.objective === 'reward' ? reward && { reward } : run.objective,
    estimator: run.estimator === 'spsa' ? undefined : run.estimator,
    optimizer: optimizerOf(run),
    directions: directionsOf(run),
    scalar_aggregation: votesOf(run),
    privacy: privacyOf(run),
    tensor_mask: tensorMaskOf(run),
    element_mask: run.sparse === 'none' ? undefined : { by: run.sparse, ...partOf(run.sparse_kept) },
    blocks_per_round: run.blocks_per_round,
  };
  return Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== undefined));
}
