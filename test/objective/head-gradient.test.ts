/** The first step back is the derivative of the losses that are reported, for every kind of task. */
import { expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import type { Example, Task } from '../../src/nouns.ts';
import { lossGradient } from '../../src/objective/head-gradient.ts';
import { sequenceLosses } from '../../src/objective/loss.ts';
import { uniform } from '../suites/arrays.ts';
import { CHOICE, LM, promptOf, windowOf } from './models.ts';

/** The last `count` of `length` tokens are scored. */
const answerOf = (length: number, count: number): Example => ({
  tokens: new Int32Array(length).fill(7),
  at: Int32Array.from({ length: count }, (_, i) => length - count + i),
  targets: new Int32Array(count).fill(2),
});
const ANSWERS = [answerOf(9, 3), answerOf(12, 5), answerOf(10, 2)];
const CASES: readonly (readonly [Task, readonly Example[]])[] = [
  [LM, [windowOf(1, 9), windowOf(2, 9)]],
  [CHOICE, [promptOf(1, 9, 4), promptOf(2, 9, 4), promptOf(3, 9, 3)]],
  [{ kind: 'candidates', prompt: '', candidates_column: 'c', answer_column: 'a' }, ANSWERS],
  [{ kind: 'answer', prompt: '', answers_column: 'a', max_new_tokens: 4, stop: [] }, ANSWERS],
  [{ kind: 'masked_lm', window: 12, masked: 0.15 }, ANSWERS],
];

test.each(CASES)('$kind', (task, examples) => {
  for (const batch of batchExamples(examples, undefined, true)) {
    const classes = task.kind === 'choice' ? task.labels.length : 1;
    const output = uniform(5, batch.sequences * batch.scored * classes);
    const shares = Float64Array.from({ length: batch.sequences }, (_, s) => 0.2 + 0.1 * s);
    const total = (of: Float32Array): number =>
      sequenceLosses(task, batch, of).reduce((sum, loss, s) => sum + shares[s]! * loss, 0);
    const bar = lossGradient(task, batch, output, shares);
    for (const i of output.keys()) {
      const [above, below] = [1, -1].map((side) => total(output.map((x, j) => (j === i ? x + side * 2 ** -8 : x))));
      expect(Math.abs(bar[i]! - (above! - below!) / 2 ** -7), `element ${i}`).toBeLessThan(1e-4);
    }
  }
});
