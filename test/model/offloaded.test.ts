/**
 * Where pages lie changes nothing: weights in one memory, in several, or on disk are visited, owed to and replaced to
 * the same bits.
 */
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pageFile } from '../../src/model/node/page-file.ts';
import { offloadedShelf } from '../../src/model/offloaded.ts';
import { residentShelf, sharing } from '../../src/model/resident.ts';
import type { Stage } from '../../src/model/stage.ts';
import { fixWeights, pagesOf, type Shelf, type Weights } from '../../src/model/weights.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import type { PageFile } from '../../src/ports.ts';
import { uniform } from '../suites/arrays.ts';
import { integersOf, SCRATCH } from './shelf.ts';

const BLOCKS = 5;
const tensors = [
  ...Array.from({ length: BLOCKS }, (_, i) => [
    { name: `block${i}.a`, shape: [4, 3 + i] },
    { name: `block${i}.b`, shape: [7] },
  ]).flat(),
  { name: 'embed', shape: [9, 4] },
].map((tensor, id) => ({ ...tensor, id }));
const stageOf = (i: number) =>
  ({ bindings: ['a', 'b'].map((part) => ({ tensor: `block${i}.${part}` })) }) as unknown as Stage;
const model = { tensors, blocks: Array.from({ length: BLOCKS }, (_, i) => stageOf(i)) };
const pages = pagesOf(model);
const make = async () => referenceKernels();

/** A file in memory, every transfer of which takes its time. */
function slowFile(): PageFile & { readonly log: string[] } {
  const bytes = new Uint8Array(4096);
  const log: string[] = [];
  const later = () => new Promise((resolve) => setTimeout(resolve, 1));
  return {
    log,
    async read(at, into) {
      log.push(`read ${at}`);
      await later();
      into.set(bytes.subarray(at, at + into.length));
    },
    async write(at, from) {
      log.push(`write ${at}`);
      const copy = from.slice();
      await later();
      bytes.set(copy, at);
    },
    close: async () => undefined,
  };
}

const filled = (shelf: Shelf): Promise<Weights> =>
  fixWeights(model, shelf, async (name, first, count) => {
    const { id } = tensors.find((tensor) => tensor.name === name)!;
    return uniform(id, 64).subarray(first, first + count);
  });

const shelves = {
  'in one memory': async () => residentShelf(pages, SCRATCH, make),
  'in several memories': async () => residentShelf(pages, 0, make, 50),
  'on disk': async () => offloadedShelf(pages, 0, make, slowFile()),
};

type Step = { readonly do: 'look' | 'owe' | 'replace' | 'settle'; readonly tensor: number; readonly c: number };
const steps = fc.array(
  fc.record<Step>({
    do: fc.constantFrom('look', 'owe', 'replace', 'settle'),
    tensor: fc.nat(tensors.length - 1),
    c: fc.integer({ min: -1000, max: 1000 }),
  }),
  { maxLength: 30 },
);

async function follow(weights: Weights, plan: readonly Step[]): Promise<number[]> {
  const seen: number[] = [];
  for (const [sample, step] of plan.entries()) {
    const { name, shape } = tensors[step.tensor]!;
    const key = { round: 0, run: 1, sample, slot: 2 };
    const length = shape.reduce((a, b) => a * b);
    if (step.do === 'owe') weights.owe({ kind: 'lowrank', rank: 1, terms: () => [{ key, c: step.c }] });
    else if (step.do === 'settle') await weights.settleOne();
    else
      await weights.visit(name, (page) => {
        if (step.do === 'replace') page.replace(name, 0, new Int32Array(length).fill(step.c));
        seen.push(...page.tensor(name).q);
      });
  }
  for (const q of await integersOf(weights)) seen.push(...q);
  return seen;
}

describe.each(Object.entries(shelves))('weights %s', (_, shelf) => {
  test('are what plain arrays are, whatever is done in whichever order', () =>
    fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        const expected = await follow(await filled(await residentShelf(pages, 0, make)), plan);
        expect(await follow(await filled(await shelf()), plan)).toEqual(expected);
      }),
      { numRuns: 25 },
    ));
});

test('neighbouring pages share a memory as long as they fit, scratch included', () => {
  expect(pages.map((page) => page.map(({ id }) => id))).toEqual([[10], [0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]);
  // Elements: 36, 19, 23, 27, 31, 35.
  expect(sharing(pages, 0, 1000)).toEqual([[0, 1, 2, 3, 4, 5]]);
  expect(sharing(pages, 0, 60)).toEqual([[0, 1], [2, 3], [4], [5]]);
  expect(sharing(pages, 20, 60)).toEqual([[0], [1], [2], [3], [4], [5]]);
});

test('of a block that did not change, nothing is written; the next one is read ahead', async () => {
  const file = slowFile();
  const weights = await filled(await offloadedShelf(pages, 0, make, file));
  await integersOf(weights);
  file.log.length = 0;
  for (let i = 0; i < BLOCKS; i++) await weights.visit(`block${i}.a`, ({ tensor }) => void tensor(`block${i}.a`));
  expect(file.log.filter((line) => line.startsWith('write'))).toEqual([]);
  expect(file.log.length).toBeLessThanOrEqual(BLOCKS + 1);
  await weights.visit('block1.a', async () => {
    const before = file.log.length;
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(file.log.length).toBe(before); // block 2 was asked for when block 1 was opened, not now
  });
});

test('a disk that fails is reported by whoever needs the block next', async () => {
  const file = slowFile();
  const weights = await filled(await offloadedShelf(pages, 0, make, file));
  const read = file.read;
  file.read = () => Promise.reject(new RangeError('the disk is gone'));
  const all = async () => {
    for (const { name } of tensors) await weights.visit(name, () => undefined);
  };
  await expect(all()).rejects.toThrow('the disk is gone');
  file.read = read;
});

test('the file on disk is gone when it is closed, and before where the system allows', async () => {
  const folder = join(tmpdir(), `murmur-pages-${process.pid}`);
  const file = await pageFile(folder);
  await file.write(5, Uint8Array.of(1, 2, 3));
  const into = new Uint8Array(2);
  await file.read(6, into);
  expect([...into]).toEqual([2, 3]);
  if (process.platform !== 'win32') expect(readdirSync(folder)).toEqual([]);
  await expect(file.read(100, into)).rejects.toThrow(/^FILE_REFUSED: /);
  await file.close();
  expect(readdirSync(folder)).toEqual([]);
  await expect(pageFile('/dev/null/none')).rejects.toThrow(/^FILE_REFUSED: .*--offload_folder/);
});
