/**
 * The weights as they are, judged on held-out examples: in f32 and by the likeliest tokens, whatever a run measures with,
 * so that the figures of runs compare.
 *
 *     every task            eval/loss         mean over samples
 *     choice, candidates    eval/accuracy
 *     answer                eval/f1, eval/exact_match of what is written
 *     with a reward         eval/reward; for prompts without answers it is the loss too, with the sign turned
 *
 * @module
 */
import { batchExamples } from '../data/batch.ts';
import { losses, type Pass, rewards, rightness, written } from '../estimator/judge.ts';
import type { Measurement } from '../estimator/spsa.ts';
import { Fault } from '../faults.ts';
import type { Example } from '../nouns.ts';
import { exactMatch, f1 } from '../objective/answers.ts';
import { headOf } from '../objective/forward.ts';

/** Samples once, with the weights as they are. */
const once = ({ forward, task, choices, positions }: Measurement): Pass => ({
  copies: 1,
  sides: { kind: 'none' },
  async run(samples, read) {
    const examples = samples.map(({ example }) => example);
    const batches = batchExamples(examples, positions);
    const [outputs] = await forward.run(batches, headOf(task), { kind: 'none' }, choices);
    const numbers = new Float64Array(samples.length);
    for (const [i, batch] of batches.entries()) {
      const own = read(batch, outputs![i]!);
      for (const [s, member] of batch.members.entries()) numbers[member] = own[s]!;
    }
    return numbers;
  },
});

const mean = (numbers: ArrayLike<number>): number =>
  Array.from(numbers).reduce((sum, x) => sum + x, 0) / numbers.length;

/** Metrics of the weights as they are. @throws {Fault} FILE_MISSING, REWARD_FAILED */
export async function evaluate(m: Measurement, examples: readonly Example[]): Promise<Record<string, number>> {
  if (examples.length === 0)
    throw new Fault('FILE_MISSING', 'the data of the run is not on this machine; name it with --data and --eval_data');
  const samples = examples.map((example) => ({ example }));
  const pass = once(m);
  const metrics: Record<string, number> = {};
  const scored = samples.filter(({ example }) => example.at.length > 0);
  if (scored.length > 0) metrics['eval/loss'] = mean(await losses(m, scored, pass));
  if (m.task.kind === 'choice' || m.task.kind === 'candidates')
    metrics['eval/accuracy'] = mean(await rightness(m, samples, pass));
  if (m.task.kind !== 'answer') return metrics;

  const texts = await written(m, samples, pass);
  const acceptedOf = (i: number): readonly string[] => examples[i]!.answer!.accepted;
  if (scored.length > 0) {
    metrics['eval/f1'] = mean(texts.map((text, i) => f1(text, acceptedOf(i))));
    metrics['eval/exact_match'] = mean(texts.map((text, i) => exactMatch(text, acceptedOf(i))));
  }
  if (m.reward !== undefined) metrics['eval/reward'] = mean(await rewards(m, samples, texts));
  if (scored.length === 0) metrics['eval/loss'] = -(metrics['eval/reward'] ?? Number.NaN);
  return metrics;
}
