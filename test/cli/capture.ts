/** Streams that remember, and a clock that is set. */
import { main } from '../../src/cli/main.ts';
import type { Streams } from '../../src/cli/output.ts';

export interface Captured extends Streams {
  out(): string;
  err(): string;
  /** Moves the clock. */
  pass(ms: number): void;
}

export function capture({ tty = false, env = {} as Record<string, string>, columns = 80 } = {}): Captured {
  const [out, err] = [[] as string[], [] as string[]];
  let time = 0;
  return {
    stdout: { isTTY: tty, columns, write: (text: string) => out.push(text) },
    stderr: { isTTY: tty, columns, write: (text: string) => err.push(text) },
    env,
    now: () => time,
    date: () => new Date(Date.UTC(2026, 0, 1) + time),
    out: () => out.join(''),
    err: () => err.join(''),
    pass: (ms) => {
      time += ms;
    },
  };
}

/** Runs the command line. */
export async function murmur(...argv: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const streams = capture();
  const code = await main(argv, streams);
  return { code, out: streams.out(), err: streams.err() };
}

export const lines = (text: string): Record<string, unknown>[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
