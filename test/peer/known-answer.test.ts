import { expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { answersOf, checkDevice, KNOWN } from '../../src/peer/known-answer.ts';
import type { Engine } from '../../src/ports.ts';

test('what is known is what the oracle says', async () => {
  const { bits, loss, slopes } = await answersOf(interpreter, async () => referenceKernels());
  expect(bits).toBe(KNOWN.bits);
  expect(loss).toBeCloseTo(KNOWN.loss, 4);
  for (const [i, slope] of slopes.entries()) expect(slope).toBeCloseTo(KNOWN.slopes[i]!, 2);
  expect(slopes).toHaveLength(KNOWN.slopes.length);
});

test('a device that computes rightly may join', async () => {
  await checkDevice(nodeEngine({ threads: 1 }));
});

/** An engine all of whose results are off by a part of themselves. */
const off = (part: number): Engine => ({
  name: 'a broken GPU',
  async compile(graph) {
    const program = await interpreter.compile(graph);
    return {
      async run(feeds, outputs) {
        await program.run(feeds, outputs);
        for (const output of Object.values(outputs))
          for (let i = 0; i < output.length; i++) output[i]! *= i % 2 === 0 ? 1 + part : 1;
      },
      release: () => program.release(),
    };
  },
});

test.each([1e-3, Number.NaN])('a device whose results are off by %f may not', async (part) => {
  await expect(checkDevice(off(part))).rejects.toMatchObject({
    code: 'ENGINE_FAILED',
    detail: expect.stringMatching(/^a broken GPU computes wrongly: a (loss|slope) of/),
  });
});
