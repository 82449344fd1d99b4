import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sampleIndices } from '../../src/data/order.ts';

describe('data order', () => {
  const shapes = fc.record({
    records_per_round: fc.integer({ min: 1, max: 9 }),
    samples_per_record: fc.integer({ min: 1, max: 5 }),
  });

  test('read in order, records visit every sample once an epoch', () => {
    fc.assert(
      fc.property(
        shapes,
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        (shape, count, run) => {
          const rounds = Math.ceil((3 * count) / (shape.records_per_round * shape.samples_per_record));
          const stream = Array.from({ length: rounds }, (_, t) =>
            Array.from({ length: shape.records_per_round }, (_, j) => sampleIndices(shape, run, count, t, j)),
          ).flat(2);
          for (const epoch of [0, 1, 2]) {
            const seen = stream.slice(epoch * count, (epoch + 1) * count);
            expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
          }
        },
      ),
    );
  });

  test('the samples of a record do not depend on how a round is cut into records', () => {
    const [one, many] = [
      { records_per_round: 2, samples_per_record: 6 },
      { records_per_round: 12, samples_per_record: 1 },
    ];
    const joined = [0, 1].flatMap((j) => sampleIndices(one, 7, 50, 3, j));
    expect(Array.from({ length: 12 }, (_, j) => sampleIndices(many, 7, 50, 3, j)[0])).toEqual(joined);
  });

  test('epochs and runs differ in their order', () => {
    const shape = { records_per_round: 1, samples_per_record: 100 };
    const [a, b, c] = [
      sampleIndices(shape, 7, 100, 0, 0),
      sampleIndices(shape, 7, 100, 1, 0),
      sampleIndices(shape, 8, 100, 0, 0),
    ];
    expect(a).not.toEqual(b);
    expect(a).not.toEqual(c);
  });
});
