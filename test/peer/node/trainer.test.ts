/** A training on one machine, on the package's own model: it learns, it goes on to the bit, and refuses what is not its own. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../../src/engine/node.ts';
import type { Settings } from '../../../src/method/backprop.ts';
import type { Manifest } from '../../../src/nouns.ts';
import { toHex } from '../../../src/numeric/bytes.ts';
import { type TrainingEvent, trainAlone } from '../../../src/peer/node/train-alone.ts';
import { openTrainer, type Trainer } from '../../../src/peer/node/trainer.ts';
import { scratchFolder } from './folder.ts';
import { quill } from './quill.ts';

const ADAMW: Settings = {
  optim: { kind: 'adamw', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  weight_decay: 0.01,
  max_grad_norm: 1,
  per_device_train_batch_size: 4,
  gradient_accumulation_steps: 2,
};
const SETTINGS: Readonly<Record<string, Settings>> = {
  adamw: ADAMW,
  'sgd with momentum': { ...ADAMW, optim: { kind: 'sgd', momentum: 0.9 } },
  hybrid: { ...ADAMW, zeroth: { backprop_blocks: 2, learning_rate: 1e-3 } },
};

async function opened(settings: Settings, manifest: Partial<Manifest> = {}): Promise<Trainer> {
  const { manifest: base, paths } = await quill();
  const spec = { manifest: { ...base, ...manifest }, paths, threads: 1, maxEvalSamples: 32, settings };
  return openTrainer(spec, nodeEngine({ threads: 1 }));
}

const digest = async (trainer: Trainer): Promise<string> => toHex(await trainer.root());

describe.each(Object.entries(SETTINGS))('%s', (_, settings) => {
  test('four steps are two, a stop, and two more of another process', async () => {
    const folder = scratchFolder();
    const [whole, half] = [join(folder, 'whole'), join(folder, 'half')];
    const straight = await opened(settings);
    for (let t = 0; t < 4; t++) await straight.step();
    await straight.save(whole);

    const first = await opened(settings);
    for (let t = 0; t < 2; t++) await first.step();
    await first.save(half);
    await first.step(); // lost: it was not saved
    await first.close();

    const second = await opened(settings);
    await second.resume(half);
    expect(second.steps()).toBe(2);
    for (let t = 0; t < 2; t++) await second.step();
    await second.save(half);
    expect(await digest(second)).toBe(await digest(straight));
    expect((await readFile(half)).equals(await readFile(whole)), 'moments and all').toBe(true);
    await second.close();
    await straight.close();
  });
});

test('ten steps of AdamW tell reviews apart better than the base does', async () => {
  const trainer = await opened(ADAMW, { learning_rate: 3e-4 });
  const before = await trainer.evaluate();
  for (let t = 0; t < 10; t++) await trainer.step();
  const after = await trainer.evaluate();
  expect(after['eval/loss']).toBeLessThan(before['eval/loss']! - 0.2);
  expect(after['eval/accuracy']).toBeGreaterThan(before['eval/accuracy']! + 0.2);
  await trainer.close();
});

describe('a saved state', () => {
  test('is refused where it is of another run, by the name of what differs', async () => {
    const path = join(scratchFolder(), 'state');
    const trainer = await opened(ADAMW);
    await trainer.save(path);
    await trainer.close();
    const other = await opened({ ...ADAMW, weight_decay: 0.2 });
    await expect(other.resume(path)).rejects.toThrow('OUTPUT_EXISTS: ');
    await expect(other.resume(path)).rejects.toThrow('another weight_decay;');
    await other.close();
    const later = await opened(ADAMW, { max_steps: 99 });
    await expect(later.resume(path)).rejects.toThrow('another max_steps;');
    await later.close();
  });

  test('is refused where a byte of it is another, or the end is missing; the weights stay', async () => {
    const path = join(scratchFolder(), 'state');
    const trainer = await opened(ADAMW);
    await trainer.step();
    await trainer.save(path);
    await trainer.close();
    const bytes = await readFile(path);
    const fresh = await opened(ADAMW);
    const untouched = await digest(fresh);
    const flipped = (at: number): Uint8Array => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
    const wrong = [flipped(0), flipped(9), flipped(bytes.length >> 1), flipped(bytes.length - 1)];
    for (const broken of [...wrong, bytes.subarray(0, -1), bytes.subarray(0, 20), new Uint8Array(0)]) {
      await writeFile(path, broken);
      await expect(fresh.resume(path)).rejects.toThrow('BLOB_MISMATCH');
    }
    expect(fresh.steps()).toBe(0);
    expect(await digest(fresh)).toBe(untouched);
    await fresh.close();
  });

  test('that is not there is a beginning', async () => {
    const trainer = await opened(ADAMW);
    await trainer.resume(join(scratchFolder(), 'state'));
    expect(trainer.steps()).toBe(0);
    await trainer.close();
  });
});

describe('trainAlone', () => {
  /** Losses that are told; a state that is a number. */
  function told(losses: readonly number[]): Trainer & { readonly saved: number[] } {
    let steps = 0;
    const saved: number[] = [];
    return {
      saved,
      steps: () => steps,
      step: async () => ({ loss: losses[steps++]!, learning_rate: 1, grad_norm: 1 }),
      evaluate: async () => ({ 'eval/loss': losses[steps] ?? 0 }),
      root: async () => new Uint8Array(32),
      save: async () => void saved.push(steps),
      resume: async () => undefined,
      tensor: async () => new Float32Array(0),
      close: async () => undefined,
    };
  }
  const run = async (trainer: Trainer, stopAfter = Number.POSITIVE_INFINITY) => {
    const events: TrainingEvent[] = [];
    const result = await trainAlone(trainer, {
      ...{ maxSteps: 6, evalSteps: 4, saveSteps: 5, state: 'state' },
      onEvent: (event) => events.push(event),
      stopped: () => trainer.steps() >= stopAfter,
      now: () => 0,
    }).catch((error: unknown) => error);
    return { result, said: events.map(({ event, round }) => `${event} ${round}`) };
  };
  const rounds = (...numbers: number[]) => numbers.map((n) => `round ${n}`);

  test('judges before, on the way and after; saves on the way and at the end', async () => {
    const trainer = told([9, 8, 7, 6, 5, 4, 3]);
    const { result, said } = await run(trainer);
    expect(result).toEqual({ before: { 'eval/loss': 9 }, after: { 'eval/loss': 3 } });
    expect(said).toEqual([
      ...['evaluation 0', ...rounds(1, 2, 3, 4), 'evaluation 4', 'round 5', 'saved 5'],
      ...['round 6', 'evaluation 6', 'saved 6'],
    ]);
    expect(trainer.saved).toEqual([5, 6]);
  });

  test('a stop finishes the step and saves; the rest is taken later', async () => {
    const trainer = told([9, 8, 7, 6, 5, 4, 3]);
    const stopped = await run(trainer, 2);
    expect(stopped.result).toMatchObject({ code: 'INTERRUPTED' });
    expect(trainer.saved).toEqual([2]);
    const { result, said } = await run(trainer);
    expect(result).toEqual({ after: { 'eval/loss': 3 } });
    expect(said[0]).toBe('round 3');
    expect((await run(trainer)).said, 'all steps were taken').toEqual(['evaluation 6']);
  });

  test('a held-out loss that is no number ends it, and nothing is saved over', async () => {
    const trainer = told([9, 8, 7, 6, Number.NaN, 4, 3]);
    expect((await run(trainer)).result).toMatchObject({ code: 'DIVERGED' });
    expect(trainer.saved).toEqual([]);
  });
});
