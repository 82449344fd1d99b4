/**
 * Gradients of whole models against PyTorch's autograd in float64 (test/fixtures/graph/make.py): independent code for
 * the forward pass and for every derivative.
 */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import type { Example, Task } from '../../src/nouns.ts';
import { everything } from '../../src/numeric/mask.ts';
import { createBackward } from '../../src/objective/backward.ts';
import { fixtureAt, smallKernels } from './models.ts';

interface Sampled {
  readonly norm: number;
  readonly at: readonly number[];
  readonly values: readonly number[];
}

interface Case {
  /** lm: inputs and the token after the last; choice: prompts. */
  readonly tokens: readonly (readonly number[])[];
  readonly choices?: readonly number[];
  readonly targets?: readonly number[];
  readonly losses: readonly number[];
  readonly gradients: Readonly<Record<string, Sampled>>;
}

const { models } = JSON.parse(readFileSync('test/fixtures/graph/gradients.json', 'utf8')) as {
  models: Readonly<Record<string, Readonly<Record<'lm' | 'choice', Case>>>>;
};

function exampleOf(tokens: readonly number[], target: number | undefined): Example {
  const inputs = Int32Array.from(target === undefined ? tokens.slice(0, -1) : tokens);
  return target === undefined
    ? { tokens: inputs, at: inputs.map((_, i) => i), targets: Int32Array.from(tokens.slice(1)) }
    : { tokens: inputs, at: Int32Array.of(inputs.length - 1), targets: Int32Array.of(target) };
}

const taskOf = ({ tokens, choices }: Case): Task =>
  choices === undefined
    ? { kind: 'lm', window: tokens[0]!.length - 1 }
    : {
        kind: 'choice',
        prompt: '{text}',
        label_column: 'label',
        labels: choices.map((token) => ({ value: String(token), word: String(token) })),
      };

describe.each(Object.entries(models))('%s', (folder, cases) => {
  const absent = !existsSync(folder);
  const isSmall = folder.startsWith('test/');
  const engines = [nodeEngine({ threads: 1 }), ...(isSmall ? [interpreter] : [])];
  describe.each(engines)('$name', (engine) => {
    test.skipIf(absent).each(Object.entries(cases))(
      `%s losses and gradients${absent ? ` (no ${folder})` : ''}`,
      async (_, c) => {
        const small = await fixtureAt(folder, await smallKernels());
        const backward = createBackward(small.model, small.weights, engine);
        const batches = batchExamples(
          c.tokens.map((tokens, i) => exampleOf(tokens, c.targets?.[i])),
          small.model.positions,
        );
        const objective = { task: taskOf(c), choices: Int32Array.from(c.choices ?? []) };
        const { losses, tensors } = await backward.gradient(batches, objective, everything);
        const members = batches.flatMap((batch) => [...batch.members]);
        for (const [i, loss] of losses.flatMap((own) => [...own]).entries())
          expect(Math.abs(loss - c.losses[members[i]!]!)).toBeLessThan(1e-5 * Math.abs(loss));
        expect([...tensors.keys()].sort()).toEqual(Object.keys(c.gradients).sort());
        const whole = Math.hypot(...Object.values(c.gradients).map(({ norm }) => norm));
        for (const [name, { norm, at, values }] of Object.entries(c.gradients)) {
          // Of a tensor that hardly counts, what its gradient is the small difference of.
          const tolerance = 1e-5 * norm + 1e-6 * whole;
          const g = tensors.get(name)!;
          const length = Math.sqrt(g.reduce((sum, x) => sum + x * x, 0));
          expect(Math.abs(length - norm), name).toBeLessThan(tolerance);
          for (const [k, i] of at.entries())
            expect(Math.abs(g[i]! - values[k]!), `${name}[${i}]`).toBeLessThan(tolerance);
        }
        await backward.release();
      },
    );
  });
});
