/**
 * What every bench shares: flags, interleaved measurement, and reports.
 *
 * Measurement is interleaved: every variant in turn, round after round, so that a machine that changes its pace changes
 * all of them; medians and ratios of the same round are what counts.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Kept between runs, and thrown away at will: models, results. */
export const BUILD = fileURLToPath(new URL('../build/bench', import.meta.url));

export const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/**
 * Flags by their defaults: a number takes a number, a list takes numbers with commas between, text is text.
 * @returns the settings, `json`, and `written`: the flags as they were given.
 */
export function flagsOf(defaults) {
  const options = Object.fromEntries(Object.keys(defaults).map((key) => [key, { type: 'string' }]));
  const { values } = parseArgs({ options: { ...options, json: { type: 'boolean', default: false } } });
  const { json, ...given } = values;
  const settings = Object.fromEntries(
    Object.entries(defaults).map(([key, standard]) => {
      const text = given[key];
      if (text === undefined || typeof standard === 'string') return [key, text ?? standard];
      const numbers = text.split(',').map(Number);
      if (!numbers.every(Number.isFinite)) throw new RangeError(`--${key} expected numbers, got ${text}`);
      return [key, Array.isArray(standard) ? numbers : numbers[0]];
    }),
  );
  return { ...settings, json, written: Object.entries(given).map(([key, text]) => `--${key} ${text}`) };
}

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

/** A figure with what it varied between: a cell of a table. */
export const spread = (values) => ({ median: median(values), low: Math.min(...values), high: Math.max(...values) });

export function machine() {
  const versionOf = (path) => JSON.parse(readFileSync(`${root}/${path}`, 'utf8')).version;
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus()[0].model.trim()}, ${availableParallelism()} cores, ${memory} GiB, Node ${process.versions.node}, onnxruntime-node ${versionOf('node_modules/onnxruntime-node/package.json')}, murmur ${versionOf('package.json')}`;
}

/** Three digits say what a shared machine can tell; counts are exact. */
function number(x) {
  if (!Number.isFinite(x)) return '–';
  if (Number.isInteger(x) || Math.abs(x) >= 100) return Math.round(x).toLocaleString('en');
  return String(Number(x.toPrecision(3)));
}

function cell(value) {
  if (typeof value === 'number') return number(value);
  if (typeof value !== 'object') return value;
  const { median: middle, low, high } = value;
  return low === high ? number(middle) : `${number(middle)} (${number(low)} to ${number(high)})`;
}

/** Rows with the same keys, which become the heading. Cells: text, numbers, or what `spread` gives. */
export const markdown = (rows) =>
  [Object.keys(rows[0]), Object.keys(rows[0]).map(() => '---'), ...rows.map((row) => Object.values(row).map(cell))]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');

/**
 * @typedef {{ title: string, rows: readonly Record<string, unknown>[], notes?: readonly string[] }} Table
 * @typedef {{ name: string, command: string, machine: string, question: string, tables: readonly Table[] }} Report
 */

/** The tables of a report, without what is said of the machine. */
export const sections = ({ tables }) =>
  tables.map(({ title, rows, notes = [] }) => [`**${title}**`, markdown(rows), ...notes].join('\n\n')).join('\n\n');

/**
 * Prints what a bench found, as tables or as one line of JSON.
 * @param {{ json: boolean, written: readonly string[] }} given what `flagsOf` gave.
 * @param {{ name: string, question: string, tables: readonly Table[] }} found
 */
export function report({ json, written }, { name, question, tables }) {
  const flags = written.length > 0 ? ` -- ${written.join(' ')}` : '';
  const whole = { name, command: `npm run bench:${name}${flags}`, machine: machine(), question, tables };
  console.log(json ? JSON.stringify(whole) : `${question}\n${whole.machine}\n\n${sections(whole)}`);
}
