/** What peers of an exchange agree on without a word; and where exchanging steps is exchanging gradients. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addFlat, differenceOf, flatOf } from '../../src/apply/flat.ts';
import { mix } from '../../src/method/diloco.ts';
import {
  fragmentsOf,
  innerRate,
  isDropped,
  isPipelined,
  isTentative,
  mergeRate,
  mergesPerStep,
  samplesOf,
  stepOf,
} from '../../src/method/exchange.ts';
import { chunksOf, mergeState } from '../../src/method/merge.ts';
import type { Exchange, Manifest } from '../../src/nouns.ts';
import { learningRate } from '../../src/optimizer/schedule.ts';
import { sgd } from '../../src/optimizer/sgd.ts';
import { mergeShares } from './merge-whole.ts';

const EXCHANGE: Exchange = {
  kind: 'diloco',
  optim: { kind: 'sgd', momentum: 0 },
  ...{ weight_decay: 0, max_grad_norm: 0, per_device_train_batch_size: 1, gradient_accumulation_steps: 1 },
  ...{ steps: 1, outer_learning_rate: 1, outer_momentum: 0, format: 'f32' },
  ...{ fragments: 1, overlap: 0, mixing: 0, data_parts: 1, dropped: 0 },
};
const KINDS = ['diloco', 'ddp', 'dpu', 'acco'] as const;

/** Only what schedules, samples and chance depend on. */
const manifest = (changed: Partial<Manifest>): Manifest =>
  ({
    learning_rate: 1,
    lr_scheduler_type: 'constant',
    warmup_steps: 0,
    max_steps: 10,
    seed: 0,
    ...changed,
  }) as Manifest;

describe('one inner step of SGD, outer rate 1, no momentum: DiLoCo is ddp with SGD', () => {
  const EXPONENT = -16;
  const UNIT = 2 ** EXPONENT;
  const flat = flatOf([{ name: 'w', shape: [3], id: 0, exponent: EXPONENT }]);
  const ddp: Exchange = { ...EXCHANGE, kind: 'ddp' };
  /** f(w) = Σ h (w - c)²/2. */
  const gradient = (q: Int32Array, curvature: number, target: readonly number[]): Float32Array =>
    Float32Array.from(q, (x, i) => curvature * (x * UNIT - target[i]!));

  /** Weights after some rounds of each. */
  function both(targets: readonly (readonly number[])[], curvatures: readonly number[], rate: number, rounds: number) {
    const [a, b] = [Int32Array.of(1 << 16, -3 << 14, 5 << 12), Int32Array.of(1 << 16, -3 << 14, 5 << 12)];
    const [outer, inner] = [mergeState(EXCHANGE, 3), mergeState(ddp, 3)];
    const paths: [number[], number[]][] = [];
    for (let round = 0; round < rounds; round++) {
      const steps = targets.map((target, slot) => {
        const g = gradient(a, curvatures[slot]!, target);
        sgd(g, new Float32Array(3), 0, rate);
        const local = a.slice();
        addFlat(flat, local, g);
        return { slot, count: 1, chunks: chunksOf('f32', differenceOf(flat, a, local)) };
      });
      const gradients = targets.map((target, slot) => ({
        ...{ slot, count: 1, chunks: chunksOf('f32', gradient(b, curvatures[slot]!, target)) },
      }));
      const options = { round, rate };
      const come = mergeShares(EXCHANGE, flat, a, steps, outer, options).chunks[0]!;
      const gone = mergeShares(ddp, flat, b, gradients, inner, options).chunks[0]!;
      addFlat(flat, a, decoded(come));
      addFlat(flat, b, decoded(gone));
      paths.push([[...a], [...b]]);
    }
    return paths;
  }
  const decoded = (chunk: Uint8Array): Float32Array => {
    const bytes = Uint8Array.from({ length: 12 }, (_, i) => chunk[3 * (i % 4) + Math.floor(i / 4)]!);
    return new Float32Array(bytes.buffer);
  };

  test('exactly, where every product is a whole number of steps', () => {
    const targets = [
      [0, 1, -1],
      [1, 0, 2],
    ];
    const paths = both(targets, [1, 1], 0.25, 4);
    for (const [a, b] of paths) expect(a).toEqual(b);
    const start = [1 << 16, -3 << 14, 5 << 12];
    const mean = [0.5, 0.5, 0.5];
    expect(paths[0]![0]).toEqual(start.map((x, i) => x - 0.25 * (x - mean[i]! * 2 ** 16)));
    expect(new Set(paths.map(String)).size).toBe(4);
  });

  test('within a step for each round, of any curvatures, targets and rates', () => {
    const number = fc.double({ min: -1, max: 1, noNaN: true });
    const peer = fc.record({
      target: fc.tuple(number, number, number),
      curvature: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(
        fc.array(peer, { minLength: 1, maxLength: 5 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (peers, rate) => {
          const [targets, curvatures] = [peers.map(({ target }) => target), peers.map(({ curvature }) => curvature)];
          for (const [round, [a, b]] of both(targets, curvatures, rate, 5).entries())
            for (let i = 0; i < 3; i++) expect(Math.abs(a[i]! - b[i]!)).toBeLessThanOrEqual(round + 1);
        },
      ),
    );
  });
});

test('merged weights are taken over: a part of them, in whole steps', () => {
  const local = Int32Array.of(10, -10, 7, 0);
  mix(local, Int32Array.of(20, 10, 8, -3), 0.5);
  expect([...local]).toEqual([15, 0, 8, -1]);
  const whole = fc.int32Array({ minLength: 4, maxLength: 4, min: -(2 ** 29), max: 2 ** 29 });
  fc.assert(
    fc.property(whole, whole, fc.double({ min: 0, max: 1, noNaN: true }), (own, merged, mixing) => {
      const mixed = own.slice();
      mix(mixed, merged, mixing);
      for (let i = 0; i < 4; i++)
        expect(Math.abs(mixed[i]! - (mixing * own[i]! + (1 - mixing) * merged[i]!))).toBeLessThanOrEqual(0.500001);
      const [all, none] = [own.slice(), own.slice()];
      mix(all, merged, 0);
      mix(none, merged, 1);
      expect([all, none]).toEqual([merged, own]);
    }),
  );
});

describe('schedules', () => {
  test('inner steps are counted over the whole run, and warm-up is theirs', () => {
    const run = { ...EXCHANGE, steps: 5 };
    const m = manifest({ lr_scheduler_type: 'linear', warmup_steps: 4, max_steps: 8 });
    expect([stepOf(run, 0, 0), stepOf(run, 0, 4), stepOf(run, 1, 0), stepOf(run, 7, 4)]).toEqual([0, 4, 5, 39]);
    expect([0, 1, 2, 3].map((t) => innerRate(m, run, t))).toEqual([0.25, 0.5, 0.75, 1]);
    expect(innerRate(m, run, 4)).toBe(1);
    expect(innerRate(m, run, 22)).toBe(0.5); // half way of the 36 steps after warm-up
    expect(innerRate(m, run, 39)).toBeCloseTo(1 / 36, 12);
    expect(innerRate(m, run, 40)).toBe(0);
  });

  test('the rate changes from step to step inside a round', () => {
    const run = { ...EXCHANGE, steps: 10 };
    const m = manifest({ lr_scheduler_type: 'cosine', max_steps: 2 });
    const rates = Array.from({ length: 20 }, (_, t) => innerRate(m, run, t));
    for (let t = 1; t < 20; t++) expect(rates[t]).toBeLessThan(rates[t - 1]!);
  });

  test.each(['ddp', 'dpu'] as const)('%s: every merge is a step', (kind) => {
    const m = manifest({ lr_scheduler_type: 'linear', warmup_steps: 2, max_steps: 6 });
    for (let round = 0; round < 7; round++)
      expect(mergeRate(m, { ...EXCHANGE, kind }, round)).toBe(learningRate(m, round));
    expect(mergesPerStep({ kind })).toBe(1);
  });

  test('acco: two merges are a step, and a guess has the rate of the step that it guesses', () => {
    const m = manifest({ lr_scheduler_type: 'linear', warmup_steps: 2, max_steps: 12 });
    const run = { ...EXCHANGE, kind: 'acco' } as const;
    const rates = Array.from({ length: 12 }, (_, round) => mergeRate(m, run, round));
    expect(rates).toEqual([0.5, 0.5, 1, 1, 1, 1, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25]);
    expect(mergeRate({ ...m, max_steps: 11 }, run, 10), 'a last guess without its step').toBe(0.25);
    expect(mergesPerStep({ kind: 'acco' })).toBe(2);
  });

  test('only every second merge of acco is a guess, and only dpu and acco go on meanwhile', () => {
    for (const kind of KINDS)
      expect([0, 1, 2, 3].map((round) => isTentative({ kind }, round))).toEqual(
        kind === 'acco' ? [true, false, true, false] : [false, false, false, false],
      );
    expect(KINDS.filter((kind) => isPipelined({ kind }))).toEqual(['dpu', 'acco']);
  });
});

describe('fragments', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 8, maxLength: 20 });
  const pagesOf = (elements: readonly number[]) =>
    elements.map((size, i) => ({ ids: [3 * i, 3 * i + 1], elements: size }));

  test('hold every tensor once, pages whole, ids ascending', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 8 }), (elements, count) => {
        const groups = fragmentsOf(pagesOf(elements), count);
        expect(groups).toHaveLength(count);
        expect(groups.flat().sort((a, b) => a - b)).toEqual(pagesOf(elements).flatMap(({ ids }) => ids));
        for (const group of groups) {
          expect(group).toEqual([...group].sort((a, b) => a - b));
          for (const id of group) expect(group).toContain(3 * Math.floor(id / 3) + (1 - (id % 3)));
        }
      }),
    );
  });

  test('are about equal: none is heavier than the lightest by more than one page', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 8 }), (elements, count) => {
        const weights = fragmentsOf(pagesOf(elements), count).map((group) =>
          group.reduce((sum, id) => sum + (id % 3 === 0 ? elements[id / 3]! : 0), 0),
        );
        expect(Math.max(...weights) - Math.min(...weights)).toBeLessThanOrEqual(Math.max(...elements));
      }),
    );
  });

  test('deal out equal blocks in turn', () => {
    const pages = Array.from({ length: 7 }, (_, i) => ({ ids: [i], elements: 50 }));
    expect(fragmentsOf(pages, 3)).toEqual([
      [0, 3, 6],
      [1, 4],
      [2, 5],
    ]);
  });

  test('deal out the heaviest first, whatever the order of pages', () => {
    const pages = [100, 100, 100, 300].map((elements, id) => ({ ids: [id], elements }));
    expect(fragmentsOf(pages, 2)).toEqual([[3], [0, 1, 2]]);
  });

  test('a page that is heavier than the blocks together stands alone', () => {
    const pages = [{ ids: [0, 9], elements: 1000 }, ...[1, 2, 3].map((id) => ({ ids: [id], elements: 100 }))];
    expect(fragmentsOf(pages, 2)).toEqual([
      [0, 9],
      [1, 2, 3],
    ]);
  });

  test('more of them than blocks are refused: a round of nothing would never end', () => {
    expect(fragmentsOf(pagesOf([5, 9]), 2)).toHaveLength(2);
    expect(() => fragmentsOf(pagesOf([5, 9]), 3)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  test('one fragment is everything', () => {
    expect(fragmentsOf(pagesOf([5, 9, 1]), 1)).toEqual([[0, 1, 3, 4, 6, 7]]);
  });
});

describe('samples', () => {
  const place = fc.record({
    seed: fc.nat(),
    slot: fc.nat(40),
    parts: fc.integer({ min: 1, max: 5 }),
    size: fc.integer({ min: 1, max: 4 }),
    batches: fc.integer({ min: 1, max: 3 }),
    total: fc.integer({ min: 5, max: 60 }),
  });
  type Place = typeof place extends fc.Arbitrary<infer T> ? T : never;
  const samples = ({ seed, slot, parts, size, batches, total }: Place, t: number, batch: number) =>
    samplesOf(
      { seed },
      { ...EXCHANGE, data_parts: parts, per_device_train_batch_size: size, gradient_accumulation_steps: batches },
      slot,
      total,
      t,
      batch,
    );
  /** The part of the data that a slot reads. */
  const partOf = ({ slot, parts, total }: Place): number[] => {
    const part = slot % parts;
    const first = Math.floor((part * total) / parts);
    return Array.from({ length: Math.floor(((part + 1) * total) / parts) - first }, (_, i) => first + i);
  };
  /** The first `count` samples of a slot, in order. */
  const stream = (at: Place, count: number): number[] => {
    const list: number[] = [];
    for (let t = 0; list.length < count; t++)
      for (let batch = 0; batch < at.batches; batch++) list.push(...samples(at, t, batch));
    return list.slice(0, count);
  };

  test('follow from the slot and the step alone, whatever was asked before', () => {
    fc.assert(
      fc.property(place, fc.nat(50), (at, t) => {
        const once = samples(at, t, 0);
        for (const slot of [at.slot + 1, 0, 7]) stream({ ...at, slot }, 30);
        expect(samples(at, t, 0)).toEqual(once);
        expect(once).toHaveLength(at.size);
      }),
    );
  });

  test('an epoch is every sample of the part once, and so is the next', () => {
    fc.assert(
      fc.property(place, (at) => {
        const part = partOf(at);
        const two = stream(at, 2 * part.length);
        const sorted = (list: number[]) => list.sort((a, b) => a - b);
        expect(sorted(two.slice(0, part.length))).toEqual(part);
        expect(sorted(two.slice(part.length))).toEqual(part);
      }),
    );
  });

  test('parts are disjoint, and all of the data', () => {
    fc.assert(
      fc.property(place, (at) => {
        const parts = Array.from({ length: at.parts }, (_, slot) => [
          ...new Set(stream({ ...at, slot }, 4 * at.total)),
        ]);
        expect(parts.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: at.total }, (_, i) => i));
      }),
    );
  });

  test('a part without a sample is refused by name', () => {
    const at: Place = { seed: 1, slot: 0, parts: 3, size: 1, batches: 1, total: 2 };
    const slots = [0, 1, 2].map((slot) => ({ ...at, slot }));
    expect(() => samples(slots[0]!, 0, 0)).toThrow(expect.objectContaining({ code: 'DATA_INVALID' }));
    expect([samples(slots[1]!, 0, 0), samples(slots[2]!, 5, 0)]).toEqual([[0], [1]]);
  });

  test('slots of the same part, and other seeds, read in orders of their own', () => {
    const at: Place = { seed: 1, slot: 0, parts: 2, size: 4, batches: 1, total: 80 };
    const orders = [at, { ...at, slot: 2 }, { ...at, slot: 4 }, { ...at, seed: 2 }].map((each) =>
      String(stream(each, 40)),
    );
    expect(new Set(orders).size).toBe(4);
  });
});

describe('shares that stay with their peers', () => {
  const all = { slots: 40, rounds: 100 };
  const dropped = (seed: number, part: number): boolean[] =>
    Array.from({ length: all.slots * all.rounds }, (_, i) =>
      isDropped({ seed }, { ...EXCHANGE, dropped: part }, i % all.slots, Math.floor(i / all.slots)),
    );
  const partOf = (list: readonly boolean[]): number => list.filter(Boolean).length / list.length;

  test.each([0.1, 0.3, 0.5, 0.9])('are about the part that was asked for: %d', (part) => {
    // Four standard deviations of 4000 draws.
    const margin = 4 * Math.sqrt((part * (1 - part)) / (all.slots * all.rounds));
    for (const seed of [0, 1, 42]) expect(Math.abs(partOf(dropped(seed, part)) - part)).toBeLessThan(margin);
  });

  test('are none where none was asked for', () => {
    expect(partOf(dropped(3, 0))).toBe(0);
  });

  test('are the same for whoever asks, and others for another seed', () => {
    expect(dropped(5, 0.5)).toEqual(dropped(5, 0.5));
    expect(dropped(5, 0.5)).not.toEqual(dropped(6, 0.5));
  });

  test('are those of no slot and of no round more than of others', () => {
    const list = dropped(7, 0.5);
    for (let slot = 0; slot < all.slots; slot++)
      expect(Math.abs(partOf(list.filter((_, i) => i % all.slots === slot)) - 0.5)).toBeLessThan(0.25);
    for (let round = 0; round < all.rounds; round++)
      expect(Math.abs(partOf(list.slice(round * all.slots, (round + 1) * all.slots)) - 0.5)).toBeLessThan(0.4);
  });

  test('a part more of them has all that a part less has', () => {
    const [few, many] = [dropped(9, 0.2), dropped(9, 0.6)];
    for (const [i, is] of few.entries()) if (is) expect(many[i]).toBe(true);
  });
});
