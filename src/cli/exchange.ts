/**
 * Keys of the methods whose peers exchange vectors: which go together, and the manifest they make.
 *
 * @module
 */
import { isLocal, isSeparable, mergesPerStep } from '../method/exchange.ts';
import { recipeOf } from '../method/recipes.ts';
import type { Exchange, Manifest, ScalarAggregation } from '../nouns.ts';
import { forbidding, settingsOf } from './alone.ts';
import type { RunFile } from './keys.ts';

type Key = keyof RunFile;

/** Whether peers exchange vectors, not bytes. */
export const isExchange = ({ method }: Pick<RunFile, 'method'>): boolean => recipeOf(method).algebra === 'exchange';

/** Of what happens between two exchanges. */
const OUTER: readonly Key[] = ['outer_learning_rate', 'outer_momentum'];
const STREAMING: readonly Key[] = ['fragments', 'overlap_steps', 'mixing'];
const ANY: readonly Key[] = [
  'exchange_format',
  'data_parts',
  'dropped_shares',
  'aggregation',
  'byzantine',
  'shard_optimizer',
];

/** Of these, what runs with shared directions have too: codes along one are votes. */
const VOTED: readonly Key[] = ['aggregation', 'byzantine'];

/** Whether an aggregation is one of scalars. */
const isVoting = (by: RunFile['aggregation']): by is 'mean' | ScalarAggregation['rule'] =>
  by === 'mean' || by === 'median' || by === 'trimmed_mean' || by === 'nna';

/** The aggregation of the codes along shared directions. Absent: they add up, as with the mean. */
export function votesOf({ shared_directions, aggregation, byzantine }: RunFile): ScalarAggregation | undefined {
  if (shared_directions === undefined || aggregation === 'mean' || !isVoting(aggregation)) return undefined;
  return { rule: aggregation, byzantine };
}

function agreeVotes(
  run: RunFile,
  forbid: ReturnType<typeof forbidding>,
  refuse: (key: Key, detail: string) => never,
): void {
  const { aggregation, byzantine, optimizer, min_peers, peers } = run;
  if (run.shared_directions === undefined)
    forbid(VOTED, 'is for methods that exchange vectors and for shared directions; add --shared_directions 5');
  if (aggregation === 'mean') {
    forbid(['byzantine'], 'is for an aggregation that bears with lies, not mean; leave it out');
    return;
  }
  if (!isVoting(aggregation)) refuse('aggregation', `${aggregation} is for vectors; take median, trimmed_mean or nna`);
  if (optimizer !== 'sgd' && optimizer !== 'sign' && optimizer !== 'momentum')
    refuse('optimizer', `${optimizer} divides by what liars can raise; take sgd, sign or momentum`);
  const most = Math.max(peers, min_peers ?? 0);
  const votes = 2 * byzantine + 1;
  if (most < votes) refuse('byzantine', `${byzantine} liars are outvoted by ${votes} peers or more; raise min_peers`);
  const perSample = (run.direction_per ?? (run.direction === 'lowrank' ? 'sample' : 'batch')) === 'sample';
  const records = most * run.gradient_accumulation_steps * (perSample ? run.per_device_train_batch_size : 1);
  const needed = votes * run.shared_directions!;
  if (records < needed)
    refuse(
      'shared_directions',
      `${run.shared_directions} take ${needed} records a round to outvote ${byzantine} liars, and there are ${records}; lower it`,
    );
}

/** @param refuse throws. What the values of two keys say against each other. */
export function agreeExchange(
  run: RunFile,
  given: (key: Key) => boolean,
  refuse: (key: Key, detail: string) => never,
): void {
  const forbid = forbidding(given, refuse);
  if (!isExchange(run)) {
    forbid(
      ['inner_steps', ...OUTER, ...STREAMING, ...ANY.filter((key) => !VOTED.includes(key))],
      `is for methods that exchange vectors, not ${run.method}; leave it out`,
    );
    agreeVotes(run, forbid, refuse);
    return;
  }
  if (run.method !== 'diloco') forbid([...OUTER, ...STREAMING], 'is for method diloco; leave it out');
  if (run.method === 'ddp')
    forbid(['inner_steps'], 'has no meaning for method ddp, which merges every step; leave it out');
  if (run.method !== 'diloco' && run.method !== 'ddp')
    forbid(['dropped_shares'], `has no meaning for method ${run.method}; leave it out`);
  if (run.shard_optimizer && !isSeparable(exchangeOf(run)))
    refuse(
      'shard_optimizer',
      `cannot be with aggregation ${run.aggregation}, which must see whole shares; leave it out`,
    );
  if (run.method === 'monna') {
    forbid(['weight_decay'], 'has no meaning for method monna; leave it out');
    if (run.optim !== 'sgd') refuse('optim', 'of method monna is sgd, whose momentum it has; leave it out');
    if (run.aggregation !== 'nna')
      refuse('aggregation', 'of method monna is nna, nearest-neighbour averaging; leave it out');
  }
  if (run.aggregation === 'mean')
    forbid(['byzantine'], 'is for an aggregation that bears with lies, not mean; leave it out');
  if (run.overlap_steps === 0) forbid(['mixing'], 'is for steps that go on meanwhile; give overlap_steps too');
  const { fragments, overlap_steps } = run;
  const steps = fragments * stepsOf(run);
  if (steps % fragments !== 0)
    refuse('fragments', `${fragments} does not divide inner_steps, ${steps}: each fragment is merged once in so many`);
  if (overlap_steps >= steps / fragments)
    refuse('overlap_steps', `is not below the ${steps / fragments} steps between two merges; lower it`);
  if (run.workers !== undefined) refuse('workers', `has no meaning for method ${run.method}; leave it out`);
}

/** H of the paper. */
const DEFAULT_STEPS = 500;
/** Batches that a peer may take while a merge is on its way: more than any link makes it wait for. */
const MOST_BATCHES = 4096;

/** Inner steps of a round; batches at most, where peers go on all the time. */
const stepsOf = ({ method, inner_steps, fragments }: RunFile): number =>
  ({ diloco: (inner_steps ?? DEFAULT_STEPS) / fragments, monna: inner_steps ?? 1, ddp: 1 })[method] ??
  inner_steps ??
  MOST_BATCHES;

/** Rounds that a number of steps takes. */
function roundsOf(run: RunFile, steps: number): number {
  const kind = kindOf(run);
  return isLocal({ kind }) ? steps / stepsOf(run) : steps * mergesPerStep({ kind });
}

const kindOf = ({ method }: RunFile): Exchange['kind'] => method as Exchange['kind']; // `isExchange` has seen to it

function exchangeOf(run: RunFile): Exchange {
  const { zeroth: _, ...descent } = settingsOf(run, 0);
  return {
    kind: kindOf(run),
    ...descent,
    steps: stepsOf(run),
    outer_learning_rate: run.outer_learning_rate,
    outer_momentum: run.outer_momentum,
    format: run.exchange_format,
    fragments: run.fragments,
    overlap: run.overlap_steps,
    mixing: run.overlap_steps === 0 ? 0 : run.mixing,
    data_parts: run.data_parts,
    dropped: run.dropped_shares,
    ...(run.aggregation === 'mean' ? {} : { aggregation: { by: run.aggregation, byzantine: run.byzantine } }),
  };
}

/** Keys of the manifest; `max_steps` counts inner steps in a run file, and rounds in a manifest. */
export function exchangeKeys(
  run: RunFile,
): Pick<Manifest, 'method' | 'exchange' | 'max_steps' | 'records_per_round' | 'samples_per_record'> | undefined {
  if (!isExchange(run)) return undefined;
  const exchange = exchangeOf(run);
  return {
    ...{ method: 'exchange', exchange },
    max_steps: Math.ceil(roundsOf(run, run.max_steps)),
    ...{ records_per_round: exchange.steps, samples_per_record: run.per_device_train_batch_size },
  };
}

/** A number of inner steps as rounds. */
export const asRounds = (run: RunFile, steps: number): number =>
  isExchange(run) ? Math.max(1, Math.round(roundsOf(run, steps))) : steps;
