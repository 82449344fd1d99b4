import { expect, test } from 'vitest';
import { adjustableEngine } from '../../src/engine/adjustable.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import type { Engine } from '../../src/ports.ts';
import { single } from '../suites/engine.ts';

/** An engine whose runs write its number of threads, and a record of what it did. */
function noted() {
  const done: string[] = [];
  const engineOf = (threads: number): Engine => ({
    name: `of ${threads}`,
    async compile({ name }) {
      done.push(`compile ${name} ${threads}`);
      return {
        run: async (_, { y }) => void y!.fill(threads),
        release: async () => void done.push(`release ${name} ${threads}`),
      };
    },
  });
  return { done, engine: adjustableEngine(engineOf, 2) };
}

const ran = async (program: Awaited<ReturnType<Engine['compile']>>) => {
  const y = new Float32Array(1);
  await program.run({}, { y });
  return y[0];
};

test('programs in use go over to the new number of threads; what was compiled is kept or released as told', async () => {
  const { done, engine } = noted();
  const [a, b] = [
    await engine.compile(single({ op: 'relu' }, [{ shape: [1] }])),
    await engine.compile(single({ op: 'softmax' }, [{ shape: [1] }])),
  ];
  expect([engine.name, await ran(a)]).toEqual(['of 2', 2]);
  await engine.adjust(1, 'keep');
  expect([engine.name, await ran(a), await ran(a)]).toEqual(['of 1', 1, 1]);
  await engine.adjust(2, 'keep');
  expect(await ran(a)).toBe(2);
  expect(done).toEqual(['compile relu 2', 'compile softmax 2', 'compile relu 1']);
  await engine.adjust(1, 'release');
  expect(done.splice(3)).toEqual(['release relu 2', 'release softmax 2']);
  expect([await ran(a), await ran(b)]).toEqual([1, 1]);
  await a.release();
  await engine.adjust(2, 'release');
  expect(done.splice(3)).toEqual(['compile softmax 1', 'release relu 1', 'release softmax 1']);
});

test('ONNX Runtime gives the same sums before and after; a number that is none is refused at once', async () => {
  const engine = adjustableEngine((threads) => nodeEngine({ threads }), 1);
  const program = await engine.compile(single({ op: 'add' }, [{ shape: [1] }, { shape: [1] }]));
  const [a, b, y] = [Float32Array.of(1), Float32Array.of(2), new Float32Array(1)];
  for (const threads of [1, 2]) {
    await engine.adjust(threads, 'release');
    await program.run({ a, b }, { y: y.fill(0) });
    expect(y[0]).toBe(3);
  }
  await expect(engine.adjust(0, 'keep')).rejects.toThrow(/"threads" expected/);
  await program.release();
});
