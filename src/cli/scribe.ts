/**
 * What a training leaves in `output_dir` to look at: `metrics.jsonl`, a line for each round and each evaluation, and for
 * TensorBoard the same numbers in `runs/`. It hears the events that are printed, so that all three agree.
 *
 * @module
 */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '../nouns.ts';
import { fileRefusal } from '../peer/node/file-refusal.ts';
import { METRICS_FILE, metricsOf, stepsAt } from './curve.ts';
import { fileVersion, restarted, scalars } from './event-file.ts';
import type { OutputEvent } from './events.ts';
import type { RunFile } from './keys.ts';
import type { Output } from './output.ts';

/** Below `output_dir`, as the Hugging Face Trainer has it. */
export const RUNS_FOLDER = 'runs';

export interface ScribeOptions {
  readonly folder: string;
  readonly manifest: Manifest;
  readonly reportTo: RunFile['report_to'];
  readonly now: () => Date;
}

export interface Scribe {
  /** As it is printed. Events that come before `begin` wait for it. */
  hear(event: OutputEvent): void;
  /** The training stands at `round`. @param evaluated what its journal knows, by round. */
  begin(round: number, evaluated?: ReadonlyMap<number, Readonly<Record<string, number>>>): void;
}

/** Fields of an event that are numbers of the round, by event: field → tag. */
const TAGS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  round: {
    ...{ records: 'train/records', usable: 'train/usable', peers: 'train/peers', gain: 'train/gain' },
    ...{ scale: 'train/scale', loss: 'train/loss', grad_norm: 'train/grad_norm', learning_rate: 'train/learning_rate' },
    ...{ ms: 'train/ms', disk_ms: 'train/disk_ms' },
  },
  merge: { steps: 'train/steps', peers: 'train/peers', ms: 'train/ms' },
  evaluation: {},
};
/** Fields that are called as they are everywhere. */
const KNOWN = /^(eval|bytes)\//;

/** The numbers of an event by tag; undefined for one that has none. */
export function numbersOf({ event, metrics, ...fields }: OutputEvent): Readonly<Record<string, number>> | undefined {
  const tags = Object.hasOwn(TAGS, event) ? TAGS[event]! : undefined;
  if (tags === undefined) return undefined;
  const all = Object.entries({ ...(metrics as object | undefined), ...fields });
  return Object.fromEntries(
    all.flatMap(([field, value]) => {
      const tag = Object.hasOwn(tags, field) ? tags[field] : KNOWN.test(field) ? field : undefined;
      return tag === undefined || typeof value !== 'number' ? [] : [[tag, value]];
    }),
  );
}

/** `output`, with what it is told written down too. A disk that refuses costs the curves, not the run. */
export function recording(output: Output, scribe: Scribe): Output {
  let refused = false;
  return {
    ...output,
    event(event) {
      output.event(event);
      if (refused) return;
      try {
        scribe.hear(event);
      } catch (error) {
        refused = true;
        const fault = fileRefusal(error);
        if (fault === undefined) throw error;
        output.event({ event: 'warning', message: `${fault.detail}; metrics are not written any more` });
      }
    },
  };
}

export function scribe({ folder, manifest, reportTo, now }: ScribeOptions): Scribe {
  const early: OutputEvent[] = [];
  let write: ((round: number, values: Readonly<Record<string, number>>) => void) | undefined;

  function hear(event: OutputEvent): void {
    if (write === undefined) early.push(event);
    const values = numbersOf(event);
    if (values !== undefined && typeof event['round'] === 'number') write?.(event['round'], values);
  }

  return {
    hear,
    begin(round, evaluated = new Map()) {
      const lines = join(folder, METRICS_FILE);
      writeFileSync(lines, continued(textOf(lines), round, metricsOf({ manifest, evaluated })));
      let board: string | undefined;
      write = (at, values) => {
        const step = stepsAt(manifest, at);
        const time = now();
        // Not before there is something to write: a command repeated at the end of a run leaves no empty file.
        if (reportTo === 'tensorboard') board ??= eventFile(folder, round, boardStep(manifest, round), time);
        const line = { step, round: at, ...values, time: time.toISOString() };
        appendFileSync(lines, `${JSON.stringify(line)}\n`);
        if (board) appendFileSync(board, scalars(seconds(time), boardStep(manifest, at), values));
      };
      for (const event of early.splice(0)) hear(event);
    },
  };
}

/** TensorBoard's steps are whole: of a run that merges twice a step they are rounds. */
const boardStep = (manifest: Manifest, round: number): number =>
  Number.isInteger(stepsAt(manifest, 1)) ? stepsAt(manifest, round) : round;

const seconds = (time: Date): number => time.getTime() / 1000;

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // the journal has the evaluations
  }
}

interface MetricsLine {
  readonly round: number;
  readonly [tag: string]: unknown;
}

/**
 * The lines that stand when a training goes on after `round` rounds: those of before, without what is half written or was
 * forgotten since, and evaluations of the journal that they lack.
 */
export function continued(written: string, round: number, journal: string): string {
  const known = parsed(written).filter((line) => line.round <= round);
  const isEvaluation = (line: MetricsLine): boolean => Object.keys(line).some((key) => key.startsWith('eval/'));
  const evaluated = new Set(known.filter(isEvaluation).map((line) => line.round));
  const lacking = parsed(journal).filter((line) => !evaluated.has(line.round));
  const all = [...known, ...lacking].sort((a, b) => a.round - b.round);
  return all.map((line) => `${JSON.stringify(line)}\n`).join('');
}

const parsed = (text: string): MetricsLine[] =>
  text.split('\n').flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line);
      const isLine = typeof value === 'object' && value !== null && 'round' in value && typeof value.round === 'number';
      return isLine ? [value as MetricsLine] : [];
    } catch {
      return [];
    }
  });

/** A new event file: in a folder of its own, or beside those of a run that goes on after `round`, `step`. @returns its path */
function eventFile(folder: string, round: number, step: number, time: Date): string {
  const runs = join(folder, RUNS_FOLDER);
  mkdirSync(runs, { recursive: true });
  const last = readdirSync(runs).sort().at(-1);
  const stamp = time.toISOString().slice(0, 19).replace('T', '_').replaceAll(':', '-');
  const place = join(runs, round > 0 && last !== undefined ? last : `${stamp}_${hostname()}`);
  mkdirSync(place, { recursive: true });
  // TensorBoard reads the files of a folder in the order of their names.
  const name = `events.out.tfevents.${Math.floor(seconds(time))}.${hostname()}.${process.pid}`;
  writeFileSync(join(place, name), fileVersion(seconds(time)));
  if (round > 0) appendFileSync(join(place, name), restarted(seconds(time), step + 1));
  return join(place, name);
}
