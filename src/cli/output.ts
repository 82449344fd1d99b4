/**
 * What a verb says. With `--json`: one JSON object a line on stdout, the last with "event":"done", also when it fails; what
 * happens has its level and time. How much is said is for `--log_level`.
 * Else for people: status lines redrawn in place on a terminal, plain lines anywhere else. Faults go to stderr as
 * `murmur: CODE: detail`.
 *
 * @module
 */
import { Fault, type FaultCode } from '../faults.ts';
import { fileRefusal } from '../peer/node/file-refusal.ts';
import { emptyStatus, lineOf, type OutputEvent, plainLine, statusLines, track } from './events.ts';
import { bar, columns, formatBytes, formatNumber, type Paint, painter, visible } from './format.ts';
import { type Level, levelOf, reaches } from './levels.ts';
import { type Live, liveLines, type Terminal } from './live.ts';

export type { OutputEvent } from './events.ts';

/** Something that takes a while, such as a download. */
export interface Progress {
  /** What is done: `downloading model.safetensors`. */
  readonly task: string;
  readonly done: number;
  /** Absent while it is not known. */
  readonly total?: number | undefined;
  readonly unit?: 'B' | undefined;
}

export interface Output {
  readonly json: boolean;
  /** Something happened. `metrics`, an object, is spread into the event. */
  event(event: OutputEvent): void;
  progress(progress: Progress): void;
  /** Cells of the first row are the headings. */
  table(title: string, rows: readonly (readonly string[])[]): void;
  /** A remark. */
  note(text: string): void;
  /** The product itself (generated text, a schema), as it is, for people and pipes; `--json` has it in `done`. */
  text(text: string): void;
  /** The last event. For people: its numbers and words as a list, unless `text` has shown the product. */
  done(result: Readonly<Record<string, unknown>>): void;
  /** The last event when something went wrong. @returns the exit code. */
  fail(error: unknown): number;
}

/** Where output goes. */
export interface Streams {
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds. */
  now(): number;
  /** Of the day. */
  date(): Date;
}

/** Exit codes other than 1: 2 is the command line's own, 130 is what a shell reports for Ctrl+C. */
const EXIT: Partial<Record<FaultCode, number>> = { CONFIG_INVALID: 2, INTERRUPTED: 130 };

/** Milliseconds between two chatty lines where there is no status line. */
const PACE = 5_000;

/** Any error as a fault: what is not one is a defect of ours. */
export function faultOf(error: unknown): Fault {
  const fault = error instanceof Fault ? error : fileRefusal(error);
  if (fault) return fault;
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new Fault('INTERNAL', `${message.split('\n')[0]}; set MURMUR_DEBUG=1 to see where, and please report it`, {
    cause: error,
  });
}

export const exitCode = ({ code }: Fault): number => EXIT[code] ?? 1;

/** Everything after `CODE: `. */
export const detailOf = (fault: Fault): string => fault.message.slice(fault.code.length + 2);

/** @param level how much is said; by default all of it to programs, and what people ask for to them. */
export const createOutput = (json: boolean, streams: Streams, level?: Level): Output =>
  json ? jsonOutput(streams, level ?? 'debug') : humanOutput(streams, level ?? 'info');

/** An event with its metrics among its fields. */
export const flat = ({ metrics, ...event }: OutputEvent): OutputEvent =>
  typeof metrics === 'object' && metrics !== null
    ? { ...event, ...metrics }
    : { ...event, ...(metrics === undefined ? {} : { metrics }) };

function report(fault: Fault, { stderr, env }: Streams): void {
  stderr.write(`murmur: ${visible(fault.message)}\n`);
  if (env['MURMUR_DEBUG']) {
    for (let e: unknown = fault; e instanceof Error; e = e.cause) stderr.write(`${e.stack}\n`);
  }
}

function jsonOutput(streams: Streams, asked: Level): Output {
  const paced = pace(streams.now, 1_000);
  const emit = (event: OutputEvent): void => {
    streams.stdout.write(`${JSON.stringify(event)}\n`);
  };
  const happened = (event: OutputEvent): void => {
    const level = levelOf(event);
    if (reaches(level, asked)) emit({ ...event, level, time: streams.date().toISOString() });
  };
  return {
    json: true,
    event: (event) => happened(flat(event)),
    progress: (p) => {
      if (paced(p.task) || p.done === p.total) happened({ event: 'progress', ...p });
    },
    table: (title, rows) => emit({ event: 'table', title, rows }),
    note: (message) => happened({ event: 'note', message }),
    text: () => undefined,
    done: ({ event: _, ...result }) => emit({ event: 'done', ...result }),
    fail(error) {
      const fault = faultOf(error);
      report(fault, streams);
      emit({ event: 'done', error: { code: fault.code, message: detailOf(fault) } });
      return exitCode(fault);
    },
  };
}

function humanOutput(streams: Streams, asked: Level): Output {
  const { stdout, stderr, env, now } = streams;
  const onTerminal = stdout.isTTY === true && env['TERM'] !== 'dumb';
  const live: Live | undefined = onTerminal ? liveLines(stdout, now) : undefined;
  const paint: Paint = painter(onTerminal && !env['NO_COLOR']);
  const paced = pace(now, PACE);
  const status = emptyStatus();
  let running: string[] = [];
  let shown = false;

  const above = (write: () => void): void => (live ? live.above(write) : write());
  const say = (text: string): void => above(() => stdout.write(`${text}\n`));
  const isQuiet = !reaches('info', asked);
  const redraw = (): void => live?.show(isQuiet ? [] : [...running, ...statusLines(status, paint)]);

  return {
    json: false,
    event(nested) {
      const event = flat(nested);
      track(status, event);
      redraw();
      if (!reaches(levelOf(event), asked)) return;
      if (asked === 'debug') return say((lineOf(event, paint) ?? plainLine(event)).text);
      const line = lineOf(event, paint);
      if (line && (!line.chatty || (!live && paced(event.event)))) say(line.text);
    },
    progress(p) {
      if (isQuiet) return;
      const line = progressLine(p, paint);
      const over = p.done === p.total;
      if (live) {
        running = over ? [] : [line];
        redraw();
        if (over) say(line);
      } else if (over || paced(p.task)) stderr.write(`${line}\n`);
    },
    table: (title, rows) => say(['', paint('bold', title), ...columns(rows).map((row) => `  ${row}`)].join('\n')),
    note: (text) => (isQuiet ? undefined : above(() => stderr.write(`${text}\n`))),
    text(text) {
      shown = true;
      above(() => stdout.write(text));
    },
    done(result) {
      live?.end();
      if (shown) return;
      const rows = Object.entries(result).flatMap(([key, value]) => {
        if (typeof value === 'number')
          return [[key, key.startsWith('bytes/') || key.endsWith('/bytes') ? formatBytes(value) : formatNumber(value)]];
        return typeof value === 'string' || typeof value === 'boolean' ? [[key, visible(String(value))]] : [];
      });
      const width = Math.max(0, ...rows.map(([key]) => key!.length));
      for (const [key, value] of rows) stdout.write(`${paint('dim', key!.padEnd(width))}  ${value}\n`);
    },
    fail(error) {
      const fault = faultOf(error);
      live?.end();
      report(fault, streams);
      return exitCode(fault);
    },
  };
}

function progressLine({ task, done, total, unit }: Progress, paint: Paint): string {
  const amount = (n: number) => (unit === 'B' ? formatBytes(n) : formatNumber(n));
  const part = total === undefined ? amount(done) : `${amount(done)} of ${amount(total)}`;
  return total ? `${visible(task)}  ${paint('cyan', bar(done / total, 20))}  ${part}` : `${visible(task)}  ${part}`;
}

/** True when `key` was not let through within the last `ms`. */
function pace(now: () => number, ms: number): (key: string) => boolean {
  const last = new Map<string, number>();
  return (key) => {
    const time = now();
    if (time - (last.get(key) ?? Number.NEGATIVE_INFINITY) < ms) return false;
    last.set(key, time);
    return true;
  };
}
