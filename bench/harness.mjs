/**
 * Interleaved measurement: every variant in turn, round after round, so that a machine that changes its pace changes
 * all of them; medians and ratios of the same round are what counts.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';

export const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** @param variants name → async function. @returns name → ms of each repetition. */
export async function interleaved(variants, repetitions, warmups = 1) {
  const times = Object.fromEntries(Object.keys(variants).map((name) => [name, []]));
  for (let i = -warmups; i < repetitions; i++)
    for (const [name, run] of Object.entries(variants)) {
      const began = performance.now();
      await run();
      if (i >= 0) times[name].push(performance.now() - began);
    }
  return times;
}

/** Median time of each variant, and median, lowest and highest ratio to `base`, repetition by repetition. */
export function ratios(times, base) {
  return Object.entries(times).map(([name, values]) => {
    const each = values.map((ms, i) => ms / times[base][i]);
    return { name, ms: median(values), ratio: median(each), low: Math.min(...each), high: Math.max(...each) };
  });
}

export function machine() {
  const root = new URL('..', import.meta.url);
  const versionOf = (path) => JSON.parse(readFileSync(new URL(path, root), 'utf8')).version;
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus()[0].model.trim()}, ${availableParallelism()} cores, ${memory} GiB, Node ${process.versions.node}, onnxruntime-node ${versionOf('node_modules/onnxruntime-node/package.json')}, murmur ${versionOf('package.json')}`;
}
