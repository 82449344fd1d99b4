/**
 * A manifest → the settings that make it: the way back from what a run is to what a person would have to say. The command
 * line makes the same manifest of them (a test does), but for what belongs to a machine: its key, its byte scale, its paths.
 *
 * @module
 */
import { isLocal, mergesPerStep } from '../method/exchange.ts';
import { recipeOf } from '../method/recipes.ts';
import type { Exchange, Manifest, Optimizer, Task, View } from '../nouns.ts';

export type Value = string | number | boolean | Readonly<Record<string, string>>;

/** Settings by the key of a run file, in the order of the schema. */
export type Settings = Readonly<Record<string, Value>>;

const part = ({ kept, of }: { readonly kept: number; readonly of: number }): string => `${kept}/${of}`;

const there = (settings: Readonly<Record<string, Value | undefined>>): Settings =>
  Object.fromEntries(Object.entries(settings).filter((entry): entry is [string, Value] => entry[1] !== undefined));

function taskSettings(task: Task): Settings {
  switch (task.kind) {
    case 'lm':
      return { block_size: task.window };
    case 'masked_lm':
      return { task: 'masked_lm', block_size: task.window, mlm_probability: task.masked };
    case 'choice': {
      const { rows, prompt, label_column } = task;
      const labels = Object.fromEntries(task.labels.map(({ value, word }) => [value, word]));
      return there({ task: rows, prompt, labels, label_column: rows === undefined ? label_column : undefined });
    }
    case 'candidates': {
      const { rows, prompt, candidates_column, answer_column } = task;
      return {
        task: rows ?? 'candidates',
        prompt,
        ...(rows === undefined ? { candidates_column, answer_column } : {}),
      };
    }
    case 'answer': {
      const { rows, prompt, answers_column, max_new_tokens, temperature } = task;
      const stop = task.stop.map((word) => word.replaceAll('\n', '\\n')).join('|');
      const own = { answers_column: answers_column === '' ? undefined : answers_column, max_new_tokens, stop };
      return there({ task: rows ?? 'answer', prompt, temperature, ...(rows === undefined ? own : {}) });
    }
  }
}

function viewSettings(view: View): Settings {
  if (view === 'full') return {};
  if ('last_blocks' in view) return { last_blocks: view.last_blocks };
  if ('prefix' in view) return { adapter: 'prefix', num_virtual_tokens: view.prefix.tokens };
  if ('prompt' in view) return { adapter: 'prompt', num_virtual_tokens: view.prompt.tokens };
  const { rank, alpha, targets } = view.lora;
  return { adapter: 'lora', lora_r: rank, lora_alpha: alpha, target_modules: targets.join(',') };
}

function optimizerSettings(optimizer: Optimizer | undefined): Settings {
  if (optimizer === undefined) return {};
  const { kind } = optimizer;
  if (kind === 'momentum') return { optimizer: kind, momentum: optimizer.beta };
  if (kind !== 'adam' && kind !== 'scalar_adam') return { optimizer: kind };
  const { beta1, beta2, epsilon } = optimizer;
  return { optimizer: kind, adam_beta1: beta1, adam_beta2: beta2, adam_epsilon: epsilon };
}

/** How a round is cut into records. @param peers that begin the run. */
function roundSettings(manifest: Manifest, peers: number): Settings {
  const { records_per_round: records, samples_per_record: samples, direction } = manifest;
  const each = records / peers;
  const bySample = direction.kind === 'lowrank';
  if (samples === 1 && bySample) return { per_device_train_batch_size: each };
  return {
    ...(bySample ? { direction_per: 'batch' } : {}),
    per_device_train_batch_size: samples,
    gradient_accumulation_steps: each,
  };
}

function probeSettings(manifest: Manifest, peers: number): Settings {
  const { direction, directions, objective, estimator, tensor_mask, element_mask, blocks_per_round } = manifest;
  const { eps, reduction, forward_precision, max_steps, scalar_aggregation: votes, privacy } = manifest;
  return there({
    objective: typeof objective === 'object' ? 'reward' : objective,
    reward: typeof objective === 'object' ? objective.reward.path : undefined,
    estimator,
    ...optimizerSettings(manifest.optimizer),
    lazy_rounds: direction.lazy,
    direction_pool: directions && 'pool' in directions ? directions.pool : undefined,
    shared_directions: directions && 'shared' in directions ? directions.shared : undefined,
    aggregation: votes?.rule,
    byzantine: votes?.byzantine,
    dp_noise_multiplier: privacy?.noise_multiplier,
    dp_clip: privacy?.clip,
    dp_epochs: privacy?.epochs,
    dp_delta: privacy?.delta,
    sparse: element_mask?.by,
    sparse_kept: element_mask && part(element_mask),
    blocks_per_round,
    direction: direction.kind,
    rank: direction.rank,
    tensor_mask: tensor_mask && part(tensor_mask),
    ...{ eps, reduction, forward_precision, max_steps },
    ...roundSettings(manifest, peers),
  });
}

function exchangeSettings({ max_steps }: Manifest, exchange: Exchange): Settings {
  const { kind, optim, aggregation, steps } = exchange;
  const isDiloco = kind === 'diloco';
  // A run file counts steps of a peer, or of the optimizer; a manifest rounds.
  const wanted = isLocal(exchange) ? max_steps * steps : max_steps / mergesPerStep(exchange);
  return there({
    method: kind,
    optim: optim.kind,
    momentum: optim.kind === 'sgd' ? optim.momentum : undefined,
    ...(optim.kind === 'adamw'
      ? { adam_beta1: optim.beta1, adam_beta2: optim.beta2, adam_epsilon: optim.epsilon }
      : {}),
    weight_decay: exchange.weight_decay,
    max_grad_norm: exchange.max_grad_norm,
    inner_steps: isDiloco ? steps * exchange.fragments : kind === 'ddp' ? undefined : steps,
    outer_learning_rate: isDiloco ? exchange.outer_learning_rate : undefined,
    outer_momentum: isDiloco ? exchange.outer_momentum : undefined,
    exchange_format: exchange.format,
    fragments: exchange.fragments,
    overlap_steps: exchange.overlap,
    mixing: exchange.overlap > 0 ? exchange.mixing : undefined,
    data_parts: exchange.data_parts,
    dropped_shares: exchange.dropped,
    aggregation: aggregation?.by,
    byzantine: aggregation?.byzantine,
    max_steps: wanted,
    per_device_train_batch_size: exchange.per_device_train_batch_size,
    gradient_accumulation_steps: exchange.gradient_accumulation_steps,
  });
}

/** Everything that a manifest says, in the keys of a run file. @param peers that begin the run; it must divide its records */
export function settingsOf(manifest: Manifest, peers: number): Settings {
  const { base, data, exchange, learning_rate, lr_scheduler_type, warmup_steps, seed } = manifest;
  const { sample } = data;
  return there({
    model: base.name,
    data: data.train.path,
    eval_data: data.eval?.path,
    eval_fraction: data.eval === undefined ? data.eval_fraction : undefined,
    shots: sample && 'per_class' in sample ? sample.per_class : undefined,
    max_train_samples: sample && 'first' in sample ? sample.first : undefined,
    ...taskSettings(manifest.task),
    ...viewSettings(manifest.view),
    ...(exchange ? exchangeSettings(manifest, exchange) : probeSettings(manifest, peers)),
    ...{ learning_rate, lr_scheduler_type, warmup_steps, seed },
    peers,
  });
}

/** Those that are not what they would be if nobody said them. @param defaults by key; a method has some of its own. */
export function differences(settings: Settings, defaults: Readonly<Record<string, unknown>>): Settings {
  const unsaid: Readonly<Record<string, unknown>> = {
    ...defaults,
    ...recipeOf(String(settings['method'] ?? 'onebyte')).keys,
  };
  return Object.fromEntries(Object.entries(settings).filter(([key, value]) => unsaid[key] !== value));
}

/** The number of peers to begin with: as many as the first round had, if they can share its records evenly. */
export const peersOf = (records: number, first: number | undefined): number =>
  first !== undefined && first > 0 && records % first === 0 ? first : 1;

const PLAIN = /^[\w@%+:,./-]+$/;
const quoted = (text: string): string => (PLAIN.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** As a flag takes it; undefined where only a file can say it. */
function flagText(value: Value): string | undefined {
  if (typeof value !== 'object') return String(value);
  const pairs = Object.entries(value);
  const fits = pairs.every(([key, word]) => !/[=,]/.test(key) && key === key.trim() && !word.includes(','));
  return fits ? pairs.map(([key, word]) => `${key}=${word}`).join(',') : undefined;
}

/** The command that begins the same run; undefined where a value has no form on a command line. */
export function commandOf(settings: Settings): string | undefined {
  const flags: string[] = [];
  for (const [key, value] of Object.entries(settings)) {
    const text = flagText(value);
    if (text === undefined) return undefined;
    flags.push(text.startsWith('-') || text === '' ? `--${key}=${quoted(text)}` : `--${key} ${quoted(text)}`);
  }
  return ['npx murmur train', ...flags].join(' \\\n  ');
}

/** The same as a run file. JSON values are YAML, and strings in quotes stay strings. */
export const runFileOf = (settings: Settings): string =>
  Object.entries(settings)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
    .join('');
