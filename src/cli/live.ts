/**
 * A few lines at the bottom of a terminal that are redrawn in place, with ordinary output scrolling past above them.
 *
 * @module
 */
import { truncate } from './format.ts';

/** What is needed of process.stdout. */
export interface Terminal {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface Live {
  /** What the lines should say. Drawn at once, or after a moment when it was drawn just now. */
  show(lines: readonly string[]): void;
  /** Writes something above the lines. */
  above(write: () => void): void;
  /** Draws what is pending and leaves it on the screen. */
  end(): void;
}

/** Milliseconds between two drawings: 12 a second are smooth enough. */
const INTERVAL = 80;

export function liveLines(terminal: Terminal, now: () => number): Live {
  let wanted: readonly string[] = [];
  let drawn = 0;
  let last = Number.NEGATIVE_INFINITY;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const erase = (): void => {
    if (drawn > 0) terminal.write(`${drawn > 1 ? `\x1b[${drawn - 1}A` : ''}\r\x1b[J`);
    drawn = 0;
  };
  const draw = (): void => {
    clearTimeout(timer);
    timer = undefined;
    erase();
    terminal.write(wanted.map((line) => truncate(line, (terminal.columns || 80) - 1)).join('\n'));
    drawn = wanted.length;
    last = now();
  };

  return {
    show(lines) {
      wanted = lines;
      if (now() - last >= INTERVAL) draw();
      else timer ??= setTimeout(draw, INTERVAL).unref();
    },
    above(write) {
      erase();
      write();
      if (wanted.length > 0) draw();
    },
    end() {
      if (wanted.length === 0) return;
      draw();
      terminal.write('\n');
      wanted = [];
      drawn = 0;
    },
  };
}
