/**
 * A loss is a fact about a sample's own tokens: how far a call pads it, and with what, must not show. Causal models get
 * that from their mask; where every token sees every other, the padding has to be hidden.
 */
import { afterAll, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import type { Batch } from '../../src/nouns.ts';
import { everything } from '../../src/numeric/mask.ts';
import { createForward, type Forward, headOf } from '../../src/objective/forward.ts';
import { sequenceLosses } from '../../src/objective/loss.ts';
import type { Perturbation } from '../../src/objective/perturbation.ts';
import { CHOICE, CHOICES, FIXTURES, fixture, key, promptOf, smallKernels } from './models.ts';

const V = 64;
const LENGTHS = [3, 5, 9, 13, 19];
const opened: Forward[] = [];
afterAll(async () => {
  for (const forward of opened) await forward.release();
});

/** The batch with rows of `tokens` tokens, padded with token `filler`. */
function repadded(batch: Batch, tokens: number, filler: number): Batch {
  const ids = new Int32Array(batch.sequences * tokens).fill(filler);
  for (let s = 0; s < batch.sequences; s++)
    ids.set(batch.ids.subarray(s * batch.tokens, s * batch.tokens + batch.lengths[s]!), s * tokens);
  const at = batch.at.map((row) => row + (tokens - batch.tokens) * Math.floor(row / batch.tokens));
  return { ...batch, tokens, ids, at };
}

const PERTURBATIONS: readonly Perturbation[] = [
  { kind: 'none' },
  { kind: 'sided', rank: 1, delta: 0.02, keys: [[key(0)]], kept: everything },
  { kind: 'dense', noise: 'rademacher', rank: 1, delta: 0.02, keys: [key(0)], kept: everything },
];

test.each(FIXTURES)('%s', async (name) => {
  const { model, weights } = await fixture(name, await smallKernels());
  const forward = createForward(model, weights, nodeEngine({ threads: 1 }));
  opened.push(forward);
  for (const [seed, length] of LENGTHS.entries())
    for (const p of PERTURBATIONS) {
      const example = promptOf(seed, V, length);
      const [batch] = batchExamples([example, example]); // as a probe has it
      const losses = async (padded: Batch): Promise<number[]> => {
        const lanes = await forward.run([padded], headOf(CHOICE), p, CHOICES);
        return lanes.flatMap(([output]) => [...sequenceLosses(CHOICE, padded, output!)]);
      };
      const near = await losses(batch!);
      const far = await losses(repadded(batch!, batch!.tokens + 11, 0));
      for (const [i, loss] of (await losses(repadded(batch!, length, 0))).entries()) {
        expect(Math.abs(near[i]! - loss), `${p.kind}, ${length} tokens`).toBeLessThan(2e-5);
        expect(Math.abs(far[i]! - loss), `${p.kind}, ${length} tokens, padded more`).toBeLessThan(2e-5);
      }
      expect(await losses(repadded(batch!, batch!.tokens, 33)), 'what it is padded with').toEqual(near);
    }
});
