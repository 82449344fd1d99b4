/**
 * How good a model is at samples, in numbers that have no derivative: right or wrong, F1 of a written answer, a reward.
 * A finite difference asks for none: MeZO (Malladi et al. 2023, arXiv:2305.17333, section 3.3) and evolution strategies
 * (arXiv:2509.24372) make them large like any loss small.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Batch, DirectionKey, Example, Objective, Task } from '../nouns.ts';
import { block, TEXT_STREAM } from '../numeric/noise.ts';
import { f1 } from '../objective/answers.ts';
import type { Sides } from '../objective/decode.ts';
import { predictions, sequenceLosses } from '../objective/loss.ts';
import { type Writer, writeTexts } from './texts.ts';

/** A sample, and the direction along which it is measured, if there is one. */
export interface Sample {
  readonly example: Example;
  readonly key?: DirectionKey;
  /** Its number among those of one direction. */
  readonly place?: number;
}

/** What a reward is given for. */
export interface Rewarded {
  readonly prompt: string;
  readonly completion: string;
  /** The row of the data that the prompt was made of. */
  readonly row: Readonly<Record<string, unknown>>;
}

export type Reward = (sample: Rewarded) => number | Promise<number>;

/** What the samples of a task are judged with. */
export interface Judge {
  readonly task: Task;
  /** Absent: the task's loss. */
  readonly objective?: Objective | undefined;
  /** For tasks whose samples are written. */
  readonly writer?: Writer | undefined;
  /** Absent where this machine has none: whatever needs one is refused. */
  readonly reward?: Reward | undefined;
}

/** Numbers of the sequences of a batch, from what the head says of it. */
export type Read = (batch: Batch, output: Float32Array) => ArrayLike<number>;

/** Samples through the model: once, or on both sides of their directions. */
export interface Pass {
  /** Numbers of a sample: 1, or 2: at θ + εz, then at θ - εz. */
  readonly copies: 1 | 2;
  /** @returns (samples · copies) */
  run(samples: readonly Sample[], read: Read): Promise<Float64Array>;
  readonly sides: Sides;
}

/** Losses of samples, (samples · copies). */
export const losses = ({ task }: Judge, samples: readonly Sample[], pass: Pass): Promise<Float64Array> =>
  pass.run(samples, (batch, output) => sequenceLosses(task, batch, output));

/**
 * 1 where the model is right about a sample, else 0, (samples · copies): the label word with the highest logit, or the
 * candidate with the highest mean log-likelihood of its tokens.
 * @throws {Fault} CONFIG_INVALID for a task without right and wrong
 */
export async function rightness(judge: Judge, samples: readonly Sample[], pass: Pass): Promise<Float64Array> {
  const { task } = judge;
  if (task.kind === 'choice')
    return pass.run(samples, (batch, output) =>
      predictions(task, batch, output).map((found, s) => (found === batch.targets[s * batch.scored] ? 1 : 0)),
    );
  if (task.kind !== 'candidates')
    throw new Fault('CONFIG_INVALID', `objective: accuracy is for tasks choice and candidates, not ${task.kind}`);
  const each = samples.map(({ example, ...rest }) =>
    example.choice!.candidates.map((one) => ({ ...rest, example: one })),
  );
  const all = await losses(judge, each.flat(), pass);
  const right = new Float64Array(samples.length * pass.copies);
  let next = 0;
  for (const [i, candidates] of each.entries()) {
    for (let copy = 0; copy < pass.copies; copy++) {
      const own = candidates.map((_, c) => all[(next + c) * pass.copies + copy]!);
      const found = own.indexOf(Math.min(...own)); // none where a loss is not a number
      right[i * pass.copies + copy] =
        found < 0 ? Number.NaN : Number(samples[i]!.example.choice!.right.includes(found));
    }
    next += candidates.length;
  }
  return right;
}

/** Uniform numbers in [0, 1) for the text of a sample: both sides of its direction get the same. */
function drawsOf({ key, place = 0 }: Sample, count: number): number[] {
  const words = new Uint32Array(4);
  return Array.from({ length: count }, (_, i) => {
    if (key && i % 4 === 0) block(key, TEXT_STREAM, 0, place, i >>> 2, words);
    return words[i % 4]! / 2 ** 32;
  });
}

/** Texts of a task `answer`, (samples · copies): by the likeliest token where `temperature` is 0. */
export async function written(
  { task, writer }: Judge,
  samples: readonly Sample[],
  { copies, sides }: Pick<Pass, 'copies' | 'sides'>,
  temperature = 0,
): Promise<string[]> {
  if (task.kind !== 'answer' || writer === undefined)
    throw new Fault('CONFIG_INVALID', `objective: f1 and rewards are for task answer, not ${task.kind}`);
  const { max_new_tokens, stop } = task;
  const prompts = samples.flatMap((sample) => {
    const draws = temperature === 0 ? [] : drawsOf(sample, max_new_tokens);
    const prompt = { ids: sample.example.answer!.ids, draws, ...(sample.key ? { key: sample.key } : {}) };
    return Array.from({ length: copies }, () => prompt);
  });
  return writeTexts(writer, prompts, { max_new_tokens, temperature, top_p: 1, stop }, sides);
}

/** @throws {Fault} FILE_MISSING, REWARD_FAILED */
export async function rewards(
  { reward, objective }: Judge,
  samples: readonly Sample[],
  texts: readonly string[],
): Promise<Float64Array> {
  if (reward === undefined) {
    const named = typeof objective === 'object' ? `${objective.reward.path} (SHA-256 ${objective.reward.sha256})` : '';
    throw new Fault(
      'FILE_MISSING',
      `the run is measured by a reward of its own, ${named}: read it, and name your copy with --reward`,
    );
  }
  const copies = texts.length / samples.length;
  const all = new Float64Array(texts.length);
  for (const [i, completion] of texts.entries()) {
    const { answer, row = {} } = samples[Math.floor(i / copies)]!.example;
    all[i] = await reward({ prompt: answer!.prompt, completion, row });
  }
  return all;
}

/** What the objective of a run makes small, (samples · copies). */
export async function costs(judge: Judge, samples: readonly Sample[], pass: Pass): Promise<Float64Array> {
  const { objective, task } = judge;
  if (objective === undefined) return losses(judge, samples, pass);
  if (objective === 'accuracy') return (await rightness(judge, samples, pass)).map((right) => -right);
  const texts = await written(judge, samples, pass, task.kind === 'answer' ? task.temperature : 0);
  if (objective !== 'f1') return (await rewards(judge, samples, texts)).map((reward) => -reward);
  return Float64Array.from(
    texts,
    (text, i) => -f1(text, samples[Math.floor(i / pass.copies)]!.example.answer!.accepted),
  );
}
