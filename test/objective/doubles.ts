/** Losses of a model in doubles, as plainly as can be: good enough for differences of differences. */
import { inDoubles } from '../../src/graph/interpreter.ts';
import type { Binding, Model, Stage } from '../../src/model/stage.ts';
import type { Weights } from '../../src/model/weights.ts';
import type { Batch, Task } from '../../src/nouns.ts';
import { integersOf } from '../model/shelf.ts';

export type Doubles = ReadonlyMap<string, Float64Array>;

/** The floats that programs see. */
export async function doublesOf(weights: Weights): Promise<Doubles> {
  const integers = await integersOf(weights);
  return new Map(
    weights.tensors.map(({ name, exponent }, i) => [
      name,
      Float64Array.from(integers[i]!, (q) => Math.fround(q) * 2 ** exponent),
    ]),
  );
}

function read(model: Model, weights: Doubles, { tensor, access }: Binding, batch: Batch): Float64Array {
  const whole = weights.get(tensor)!;
  const [, width = 1] = model.tensors.find(({ name }) => name === tensor)!.shape;
  if (access.as === 'piece') return whole.subarray(access.first * width, (access.first + access.count) * width);
  if (access.as !== 'rows') return whole;
  // Choices are never read here: see `losses`.
  const rowsOf = (): number[] => {
    if (access.of === 'tokens') return [...batch.ids];
    if (access.of === 'one') return [access.row];
    const offset = access.of === 'positions' ? access.offset : 0;
    return Array.from({ length: batch.tokens }, (_, t) => t + offset);
  };
  const rows = rowsOf();
  return Float64Array.from(rows.flatMap((row) => [...whole.subarray(row * width, (row + 1) * width)]));
}

/** (S) losses; logits of the whole vocabulary are there at once, whatever the task. */
export function losses(model: Model, weights: Doubles, task: Task, choices: Int32Array, batch: Batch): Float64Array {
  const run = (stage: Stage, feeds: Record<string, Float64Array | Int32Array>): Float64Array => {
    const graph = stage.build(batch, { kind: 'plain' });
    const constants = Object.entries({ ...stage.constants(batch), ...stage.batchInputs?.(batch) }).map(
      ([name, x]) => [name, Float64Array.from(x)] as const,
    );
    const bound = stage.bindings.map((binding) => [binding.input, read(model, weights, binding, batch)] as const);
    const outputs = inDoubles(graph, { ...Object.fromEntries([...constants, ...bound]), ...feeds });
    return outputs[graph.outputs[0]!.name]!;
  };
  let x = run(model.embed, {});
  for (const block of model.blocks) x = run(block, { x });
  x = run(model.final, { x, at: batch.at });
  const logits = model.head({ kind: 'logits' }).map(({ stage, count }) => ({ count, of: run(stage, { x }) }));
  return Float64Array.from({ length: batch.sequences }, (_, s) => {
    let sum = 0;
    for (let p = s * batch.scored; p < (s + 1) * batch.scored; p++) {
      if (batch.weights[p] === 0) continue;
      const row = logits.flatMap(({ count, of }) => [...of.subarray(p * count, (p + 1) * count)]);
      const heard = task.kind === 'lm' ? row : [...choices].map((token) => row[token]!);
      const top = Math.max(...heard);
      const logSum = top + Math.log(heard.reduce((total, logit) => total + Math.exp(logit - top), 0));
      sum += (logSum - heard[batch.targets[p]!]!) / (task.kind === 'lm' ? task.window : 1);
    }
    return sum;
  });
}

/** d/dt of `f` at 0, by central differences: short enough that no ReLU bends on the way. */
export function slope(f: (t: number) => number): number {
  const h = 2 ** -20;
  return (f(h) - f(-h)) / (2 * h);
}
