/**
 * Hostile frames, mutated valid ones and noise, at a coordinator and at a peer that are as they are in a run, with real
 * signatures: nothing but a refusal may come of them, nothing forged into a journal, and the run must end as it would have.
 *
 *     npm run fuzz -- [--frames 1000000] [--side host|peer] [--seed 1]
 *     npm run fuzz -- --side host --seed 17 --index 3021      one frame of one run again
 *
 * @module
 */
import { parseArgs } from 'node:util';
import { runnerImport } from 'vite';
import { markdown } from './harness.mjs';

const { values } = parseArgs({
  options: {
    frames: { type: 'string', default: '1000000' },
    side: { type: 'string' },
    seed: { type: 'string', default: '1' },
    index: { type: 'string' },
  },
});
const { module } = await runnerImport('./test/fuzz/study.ts', { logLevel: 'error' });
const say = (line) => console.log(line);
const sides = module.SIDES.filter((side) => values.side === undefined || side === values.side);
const seed = Number(values.seed);
const rows = [];
for (const side of sides) {
  if (values.index !== undefined) {
    await module.again(side, seed, Number(values.index), say);
    continue;
  }
  const { frames, episodes, seconds, rss, answers } = await module.fuzz(side, Number(values.frames), seed, say);
  const refusals = [...answers].sort(([, a], [, b]) => b - a).map(([code, count]) => `${code} ${count}`);
  rows.push({
    ...{ at: side, frames, runs: episodes, seconds: Math.ceil(seconds) },
    'rss MiB, before / most / after': `${rss.before} / ${rss.most} / ${rss.after}`,
    answers: refusals.join(', '),
  });
}
if (rows.length > 0) say(markdown(rows));
