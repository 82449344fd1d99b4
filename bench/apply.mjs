/**
 * `npm run bench:apply`: what it costs to apply the records of a round, and how many peers a run can have before each
 * applies for longer than it measures. DESIGN 3 expects that at about twice the tokens of a probe: 4Td flops to measure
 * one, 2d to apply one. A machine that multiplies matrices faster than it adds outer products meets it earlier.
 *
 *     npm run bench:apply -- --shape opt-125m --records 1,4,16,64,256,1024,4096 --threads 2 --repetitions 3
 *
 * `--limit` is the most seconds that one round may take to be measured.
 *
 * @module
 */
import { flagsOf, interleaved, median, report, spread } from './harness.mjs';
import { applyKernels, loneReplica } from './internals.mjs';
import { syntheticFolder } from './synthetic.mjs';
import { sampleText } from './text.mjs';

const given = flagsOf({
  ...{ shape: 'opt-125m', records: [1, 4, 16, 64, 256, 1024, 4096], coefficient: 2000 },
  ...{ sequences: 16, tokens: 64, threads: 2, repetitions: 3, limit: 60 },
});
const { shape, records, coefficient, sequences, tokens, threads, repetitions, limit } = given;

const { weights, apply } = await applyKernels(shape);

/** Kind of direction → how the table calls it. */
const KINDS = { lowrank: 'low-rank, rank 1', rademacher: 'dense Rademacher' };

const seconds = (run) => {
  const began = performance.now();
  run();
  return (performance.now() - began) / 1000;
};

/** Each once, in growing order: a warm-up, and the pace that tells which would take too long. */
const planned = Object.keys(KINDS).flatMap((kind) => {
  let pace = seconds(() => apply(kind, 1, coefficient));
  return records.map((count) => {
    const expected = pace * count;
    if (expected > limit) return { kind, count, expected };
    pace = seconds(() => apply(kind, count, coefficient)) / count;
    return { kind, count };
  });
});
const nameOf = ({ kind, count }) => `${kind} ${count}`;
const measured = planned.filter(({ expected }) => expected === undefined);
/** One peer's share of a round: `sequences` probes of `tokens` tokens. */
const replica = await loneReplica(
  {
    ...{ model: await syntheticFolder(shape), data: sampleText(), block_size: tokens },
    per_device_train_batch_size: sequences,
  },
  { threads, maxEvalSamples: 1 },
);
await replica.measure();
const { measure, ...times } = await interleaved(
  {
    measure: replica.measure,
    ...Object.fromEntries(measured.map((one) => [nameOf(one), () => apply(one.kind, one.count, coefficient)])),
  },
  repetitions,
  0,
);
await replica.close();

const rows = planned.map((one) => {
  const direction = { direction: KINDS[one.kind], 'records a round': one.count };
  if (one.expected !== undefined)
    return {
      ...direction,
      'seconds a round': `not measured: about ${Math.round(one.expected)}`,
      'G record·weights/s': '',
    };
  const each = times[nameOf(one)].map((ms) => ms / 1000);
  return {
    ...direction,
    'seconds a round': spread(each),
    'G record·weights/s': (one.count * weights) / median(each) / 1e9,
  };
});

/** Seconds to apply so many low-rank records: measured, or by the pace of the largest round that was. */
const lowRank = measured.filter(({ kind }) => kind === 'lowrank');
const largest = lowRank.reduce((a, b) => (b.count > a.count ? b : a));
const applying = (count) => {
  const known = lowRank.find((one) => one.count === count) ?? largest;
  return (median(times[nameOf(known)]) / 1000 / known.count) * count;
};
const share = median(measure) / 1000;
const peers = [1, 4, 16, 64, 256, 1024].map((count) => ({
  peers: count,
  'records a round': count * sequences,
  'measuring, s': share,
  'applying, s': applying(count * sequences),
  'applying over measuring': applying(count * sequences) / share,
}));
const pace = applying(largest.count) / largest.count;

report(given, {
  name: 'apply',
  question: 'What applying the records of a round costs, and how many peers it takes to cost as much as measuring.',
  tables: [
    {
      title: `Applying, ${shape}, ${(weights / 1e6).toFixed(1)} M weights, one thread, median of ${repetitions} (lowest to highest)`,
      rows,
      notes: [
        `Coefficients up to ${coefficient}, as those of a usual step; their size makes no difference. Rounds that would take longer than ${limit} s are left out.`,
      ],
    },
    {
      title: `A peer's share of a round: ${sequences} low-rank probes of ${tokens} tokens, measured with ${threads} threads, against applying everybody's on one`,
      rows: peers,
      notes: [
        `Counts of records that are not in the first table are taken at the pace of ${largest.count.toLocaleString('en')} a round.`,
      ],
    },
    {
      title: 'Peers at which applying costs as much as measuring',
      rows: [
        {
          'law: 2T': 2 * tokens,
          'measured here': share / sequences / pace,
          'measuring a probe, ms': (1000 * share) / sequences,
          'applying a record, ms': 1000 * pace,
          'G flops/s measuring': (4 * tokens * sequences * weights) / share / 1e9,
          'G flops/s applying': (2 * weights) / pace / 1e9,
        },
      ],
      notes: ['The law counts operations; the two paces say how far this machine is from doing both equally fast.'],
    },
  ],
});
