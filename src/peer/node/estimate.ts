/**
 * The time of a training step on this machine, before the weights are there: the step itself, on an excerpt of the model.
 *
 * @module
 */
import { batchExamples } from '../../data/batch.ts';
import { sampleIndices } from '../../data/order.ts';
import { applyCommitted, type Learner, type Memory, measureRecords, memoryOf } from '../../method/onebyte.ts';
import type { Model } from '../../model/stage.ts';
import { viewOf, windowsOf } from '../../model/view.ts';
import { elementsOf } from '../../model/weights.ts';
import type { Estimator, Example, Header, Manifest, Objective, Round } from '../../nouns.ts';
import { initialScale, scaleState } from '../../numeric/scale.ts';
import { createForward, type Plan, scratchLength } from '../../objective/forward.ts';
import { createTangent } from '../../objective/tangent.ts';
import { tangentScratch } from '../../objective/tangent-feeds.ts';
import { headerOf } from '../../optimizer/header.ts';
import { windowOf } from '../../optimizer/steps.ts';
import type { Engine } from '../../ports.ts';
import { CHUNK } from '../participant.ts';
import { extrapolated, leastSeconds, movedOf, openExcerpt, type Subject } from './excerpt.ts';

export interface StepSpec extends Subject {
  readonly plans: readonly Plan[];
  /** Records of a round that one peer measures. */
  readonly records: number;
}

/** Seconds. */
export interface StepTime {
  readonly measure: number;
  readonly apply: number;
}

/** A slope and a code as a model has them: with zeros for coefficients there would be nothing to add. */
const SLOPE = 100;
const CODE = 30;
/** A scale at which no slope is 0: `conservative` tries none that is. */
const SCALE = 1;
/** Rounds that are applied at once, to see what each of a window of momentum adds. */
const SEVERAL = 4;

/** Passes that a block before all that moves is spared, of those that it takes: see `forwardsPerRound`. */
const SPARED: Readonly<Record<Estimator, number>> = { spsa: 1 / 2, conservative: 2 / 5, forward_gradient: 2 / 3 };

/** Tokens of a text behind its first that are written, to see what each adds. */
const FEW = 8;

/** Seconds of the models of an excerpt. */
type Three = readonly [number, number, number];
const threeOf = ([one, deep, wide]: readonly number[]): Three => [one!, deep!, wide!];

/** @param measure seconds with texts of so many new tokens. @param most of them; 0: no texts. */
async function withTokens(measure: (tokens: number) => Promise<Three>, most: number): Promise<Three> {
  const start = await measure(Math.min(1, most));
  const more = Math.min(FEW, most - 1);
  if (more <= 0) return start;
  const end = await measure(1 + more);
  return threeOf(start.map((s, i) => s + (Math.max(0, end[i]! - s) / more) * (most - 1)));
}

/** Whether what a record is measured by is written: then every text is taken to be as long as it may be. */
export const isWritten = (objective: Objective | undefined): boolean =>
  objective !== undefined && objective !== 'accuracy';

/** Rounds that a round moves the weights by, itself counted, in the mean over a run: an optimizer's window fills. */
export function meanWindow(rules: Pick<Manifest, 'optimizer' | 'max_steps'>): number {
  const { max_steps: rounds } = rules;
  const full = Math.min(windowOf(rules), rounds);
  return full - (full * (full - 1)) / 2 / rounds;
}

/** What rounds move in turn. */
const windowsIn = (model: Model, { view, blocks_per_round: count }: Manifest): readonly (readonly number[])[] => {
  const ids = viewOf(model, view);
  return count === undefined ? [ids] : windowsOf(model, ids, count);
};

/** Blocks before the first weight that moves, in the mean over windows: they are computed once for both sides. */
export function stillBlocks({ embed, blocks, tensors }: Model, windows: readonly (readonly number[])[]): number {
  const ids = new Map(tensors.map(({ name, id }) => [name, id]));
  const stages = [embed, ...blocks];
  const still = windows.map((window) => {
    const moved = new Set(window);
    const first = stages.findIndex(({ bindings }) => bindings.some(({ tensor }) => moved.has(ids.get(tensor)!)));
    return first < 0 ? blocks.length : Math.max(0, first - 1);
  });
  return still.reduce((a, b) => a + b, 0) / still.length;
}

/** Runs one step of a peer in parts. @param now milliseconds. */
export async function stepTime(spec: StepSpec, engine: Engine, now: () => number): Promise<StepTime> {
  const { model, records, plans } = spec;
  const { tensor_mask: mask, ...manifest } = spec.manifest;
  const { estimator = 'spsa', direction } = manifest;
  const isForward = estimator === 'forward_gradient';
  const { models, weights, train, choices } = await openExcerpt(spec, (small) =>
    Math.max(scratchLength(small, plans), isForward ? tangentScratch(small, direction, plans) : 0),
  );
  const [small] = models;
  const learners = models.map((built): Learner => {
    const forward = createForward(built, weights, engine);
    return {
      ...{ manifest, run: 0, weights, forward, choices },
      view: movedOf(small).map(({ id }) => id),
      dataset: { train, eval: [], choices, truncated: 0 },
      task: manifest.task,
      positions: model.positions,
      precision: manifest.forward_precision,
      objective: isWritten(manifest.objective) ? 'f1' : manifest.objective,
      // Nothing that is written ends before its time.
      writer: { forward, model: built, tokenizer: { decode: () => '', isEnd: () => false } },
      ...(isForward ? { tangent: createTangent(built, weights, engine) } : {}),
    };
  });
  const call = Math.min(CHUNK, records);
  const header = plainHeader(manifest);
  const rounds = Array.from({ length: Math.min(SEVERAL, windowOf(manifest)) }, (_, round): Round => {
    const codes = new Int8Array(manifest.records_per_round).fill(CODE);
    return { header: { ...header, round }, segments: [{ slot: 0, from: 0, codes }] };
  });
  const { moments }: Memory = memoryOf();
  /** Applies the last of the first so many rounds. */
  const apply = async (count: number): Promise<void> => {
    await applyCommitted(learners[0]!, rounds[count - 1]!, { recent: rounds.slice(0, count - 1), moments });
    while (await weights.settleOne());
  };
  const { task } = manifest;
  const most = isWritten(manifest.objective) && task.kind === 'answer' ? task.max_new_tokens : 0;
  const measure = async (tokens: number): Promise<Three> => {
    const own = task.kind === 'answer' && tokens > 0 ? { ...task, max_new_tokens: tokens } : task;
    const works = learners.map(
      (learner) => () => measureRecords({ ...learner, task: own }, { ...header, scale: SCALE }, 0, call),
    );
    return threeOf(await leastSeconds(works, now));
  };
  const measured = await withTokens(measure, most);
  const [first, several] = (await leastSeconds(
    [() => apply(1), ...(rounds.length > 1 ? [() => apply(rounds.length)] : [])],
    now,
  )) as [number, number?];
  for (const { forward, tangent } of learners) {
    await forward.release();
    await tangent?.release();
  }
  await weights.close();

  const windows = windowsIn(model, spec.manifest);
  const moved = new Set(windows.flat());
  const share = (mask ? mask.kept / mask.of : 1) / windows.length;
  const size = elementsOf(model.tensors.filter(({ id }) => moved.has(id))) / elementsOf(movedOf(small));
  const older = several === undefined ? 0 : Math.max(0, several - first) / (rounds.length - 1);
  const spared = SPARED[estimator] * stillBlocks(model, windows);
  return {
    measure: (records / call) * extrapolated(measured, spec, spared),
    apply: (first + (meanWindow(manifest) - 1) * older) * share * size,
  };
}

/** A rate at which weights move, and stay in their range however often they do. */
const RATE = 1e-5;

/** Of plain SGD, whose gain does not depend on the codes: how much is added takes no time, whether anything is does. */
function plainHeader({ optimizer: _, ...rules }: Manifest): Header {
  return headerOf({ ...rules, learning_rate: RATE }, scaleState(initialScale([SLOPE])), 0, rules.records_per_round);
}

/** Batches that a call of a peer is given: samples of one shape together, or each record by itself. */
export function batchesOf({
  manifest,
  train,
  model,
  records,
}: Pick<StepSpec, 'manifest' | 'train' | 'model' | 'records'>): number {
  const examplesOf = (record: number): Example[] =>
    sampleIndices(manifest, 0, train.length, 0, record).map((n) => train[n]!);
  const each = Array.from({ length: Math.min(CHUNK, records) }, (_, record) => examplesOf(record));
  if (manifest.direction.kind !== 'lowrank')
    return each.reduce((sum, examples) => sum + batchExamples(examples, model.positions).length, 0);
  // A derivative has one side only.
  const sides = manifest.estimator === 'forward_gradient' ? 1 : 2;
  return batchExamples(
    each.flat().flatMap((example) => Array.from({ length: sides }, () => example)),
    model.positions,
  ).length;
}
