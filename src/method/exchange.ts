/**
 * What the peers of an exchange agree on without a word: which weights a round merges, which samples a step reads, at
 * which rate, and whether a peer keeps its share to itself. All of it follows from the manifest, the peer's slot and the
 * number of the step, so a peer that comes back, or comes late, goes on as if it had been there.
 *
 * @module
 */
import { sampleIndices } from '../data/order.ts';
import { Fault } from '../faults.ts';
import type { Exchange, Manifest } from '../nouns.ts';
import { noiseUniforms } from '../numeric/uniform.ts';
import { learningRate } from '../optimizer/schedule.ts';

/** Steps of the whole run are counted from 0; round r has those from r · steps on. */
export const stepOf = ({ steps }: Pick<Exchange, 'steps'>, round: number, step: number): number => round * steps + step;

/**
 * The rate of an inner step: the schedule is theirs, warm-up included. MoNNA's momentum is damped, that of `optimizer/sgd`
 * is not: (1 - β) goes into the rate.
 */
export function innerRate(manifest: Manifest, { kind, optim, steps }: Exchange, t: number): number {
  const rate = learningRate({ ...manifest, max_steps: manifest.max_steps * steps }, t);
  return kind === 'monna' && optim.kind === 'sgd' ? rate * (1 - optim.momentum) : rate;
}

/** Whether peers take steps of their own, and a share is how far they came; else it is a gradient. */
export const isLocal = ({ kind }: Pick<Exchange, 'kind'>): boolean => kind === 'diloco' || kind === 'monna';

/** Whether each peer hears the shares of all others, and has weights of its own after a merge too. */
export const isMixed = ({ kind }: Pick<Exchange, 'kind'>): boolean => kind === 'monna';

/**
 * Whether a merge at one weight follows from what shares say of it, and from the norm of the whole: then parts of it can be
 * made in several places. What looks at distances between shares needs all of them.
 */
export const isSeparable = ({ aggregation }: Pick<Exchange, 'aggregation'>): boolean =>
  aggregation === undefined || aggregation.by === 'median' || aggregation.by === 'trimmed_mean';

/** Merges for one step of the optimizer: of `acco` one to guess and one to know. */
export const mergesPerStep = ({ kind }: Pick<Exchange, 'kind'>): number => (kind === 'acco' ? 2 : 1);

/** The rate of the step that the merge of a round is, where peers exchange gradients. */
export function mergeRate(manifest: Manifest, exchange: Exchange, round: number): number {
  const per = mergesPerStep(exchange);
  return learningRate({ ...manifest, max_steps: Math.ceil(manifest.max_steps / per) }, Math.floor(round / per));
}

/** Whether a merge only estimates weights to go on with: those of the journal stay. */
export const isTentative = ({ kind }: Pick<Exchange, 'kind'>, round: number): boolean =>
  kind === 'acco' && round % 2 === 0;

/** Whether peers take steps of the next round while one is merged, as many as there is time for. */
export const isPipelined = ({ kind }: Pick<Exchange, 'kind'>): boolean => kind === 'dpu' || kind === 'acco';

/**
 * Samples that a peer reads in one batch of a step: indices into its data.
 * @throws {Fault} DATA_INVALID where it has none
 */
export function samplesOf(
  { seed }: Pick<Manifest, 'seed'>,
  { data_parts, per_device_train_batch_size: size, gradient_accumulation_steps: batches }: Exchange,
  slot: number,
  total: number,
  t: number,
  batch: number,
): number[] {
  const part = slot % data_parts;
  const first = Math.floor((part * total) / data_parts);
  const end = Math.floor(((part + 1) * total) / data_parts);
  if (first === end)
    throw new Fault('DATA_INVALID', `part ${part} of ${data_parts} of ${total} samples is empty; lower data_parts`);
  const places = { records_per_round: batches, samples_per_record: size };
  return sampleIndices(places, wordOf(seed, slot), end - first, t, batch).map((index) => first + index);
}

/** An order of the data for each slot: as two samplers with seeds of their own. */
const wordOf = (seed: number, slot: number): number => (seed ^ Math.imul(slot + 1, 0x9e3779b1)) >>> 0;

/**
 * Groups of tensors that rounds merge in turn: blocks go to the group that is smallest so far, the largest first, and so
 * does all that belongs to no block. Equal blocks are thus dealt out in turn, the strided pattern of Streaming DiLoCo
 * (arXiv:2501.18512, 2.1), and groups are about equally heavy on the link.
 *
 * @param pages ids and elements of the tensors that are used together. @returns ids of each group, ascending.
 * @throws {Fault} CONFIG_INVALID where a group would be empty: its rounds would wait for shares forever
 */
export function fragmentsOf(
  pages: readonly { readonly ids: readonly number[]; readonly elements: number }[],
  count: number,
): readonly (readonly number[])[] {
  if (count > pages.length)
    throw new Fault('CONFIG_INVALID', `fragments: ${count} of weights that are ${pages.length} blocks; lower it`);
  const groups = Array.from({ length: count }, () => ({ ids: [] as number[], elements: 0 }));
  const heaviest = [...pages.entries()].sort(([i, a], [j, b]) => b.elements - a.elements || i - j);
  for (const [, { ids, elements }] of heaviest) {
    const lightest = groups.reduce((least, group) => (group.elements < least.elements ? group : least));
    lightest.ids.push(...ids);
    lightest.elements += elements;
  }
  return groups.map(({ ids }) => ids.sort((a, b) => a - b));
}

/** Whether the share of a round stays with its peer, as `dropped` of them do. */
export function isDropped(
  { seed }: Pick<Manifest, 'seed'>,
  { dropped }: Exchange,
  slot: number,
  round: number,
): boolean {
  return dropped > 0 && noiseUniforms((wordOf(seed, slot) ^ Math.imul(round, 0x85ebca6b)) >>> 0, 1)[0]! < dropped;
}
