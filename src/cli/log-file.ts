/**
 * `--log_file`: events as JSON, one a line, beside what is shown. The file is added to, so that a run that is started
 * again has one log; a disk that refuses costs the log, not the run.
 *
 * @module
 */
import { existsSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileRefusal } from '../peer/node/file-refusal.ts';
import type { OutputEvent } from './events.ts';
import { type Level, levelOf, reaches } from './levels.ts';
import { detailOf, faultOf, flat, type Output } from './output.ts';

/** @returns adds a line. @throws {Fault} FILE_REFUSED */
export function openLog(path: string): (line: string) => void {
  try {
    if (!existsSync(dirname(path))) mkdirSync(dirname(path), { recursive: true });
    const file = openSync(path, 'a');
    return (line) => void writeSync(file, `${line}\n`);
  } catch (error) {
    throw fileRefusal(error, path) ?? error;
  }
}

/** `output`, with what it is told written too, up to a level. */
export function logged(output: Output, level: Level, write: (line: string) => void, now: () => Date): Output {
  let refused = false;
  const log = (event: OutputEvent): void => {
    const own = levelOf(event);
    if (refused || !reaches(own, level)) return;
    try {
      write(JSON.stringify({ time: now().toISOString(), level: own, ...flat(event) }));
    } catch (error) {
      refused = true;
      const fault = fileRefusal(error, 'the log');
      if (fault === undefined) throw error;
      output.event({ event: 'warning', message: `${fault.detail}; nothing is logged any more` });
    }
  };
  return {
    ...output,
    event(event) {
      output.event(event);
      log(event);
    },
    progress(progress) {
      output.progress(progress);
      log({ event: 'progress', ...progress });
    },
    note(message) {
      output.note(message);
      log({ event: 'note', message });
    },
    done(result) {
      output.done(result);
      log({ event: 'done', ...result });
    },
    fail(error) {
      const fault = faultOf(error);
      log({ event: 'done', error: { code: fault.code, message: detailOf(fault) } });
      return output.fail(fault);
    },
  };
}
