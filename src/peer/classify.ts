/**
 * One text of one's own, judged by the label words of a run's task: what a person who tries a model wants to see, and a
 * loss does not say.
 *
 * @module
 */
import { batchExamples } from '../data/batch.ts';
import { choiceExamples, labelTokens } from '../data/choice.ts';
import type { Row } from '../data/rows.ts';
import { Fault } from '../faults.ts';
import type { Learner } from '../method/onebyte.ts';
import type { Tokenizer } from '../model/tokenizer.ts';
import { headOf } from '../objective/forward.ts';

/** Its name where a refusal has to name a file. */
const FILE = { name: 'the text', bytes: new Uint8Array(0) };

/**
 * @param columns of the prompt; the label is none of them.
 * @returns (classes) probabilities, which add up to 1. @throws {Fault} CONFIG_INVALID for other tasks; DATA_INVALID, LABEL_WORD
 */
export async function classify(
  { task, forward, positions }: Pick<Learner, 'task' | 'forward' | 'positions'>,
  tokenizer: Tokenizer,
  columns: Readonly<Record<string, string>>,
): Promise<readonly number[]> {
  if (task.kind !== 'choice') throw new Fault('CONFIG_INVALID', `task ${task.kind} has no labels to choose among`);
  // An example has a target; nobody looks at this one.
  const row: Row = { line: 1, columns: { ...columns, [task.label_column]: task.labels[0]!.value } };
  const choices = labelTokens(task, FILE, row, tokenizer);
  const { examples } = choiceExamples(task, FILE, [row], tokenizer, positions);
  const batches = batchExamples(examples, positions);
  const [outputs] = await forward.run(batches, headOf(task), { kind: 'none' }, choices);
  return softmax(outputs![0]!.subarray(0, task.labels.length));
}

function softmax(scores: Float32Array): number[] {
  const top = Math.max(...scores);
  const parts = Array.from(scores, (score) => Math.exp(score - top));
  const sum = parts.reduce((a, b) => a + b, 0);
  return parts.map((part) => part / sum);
}
