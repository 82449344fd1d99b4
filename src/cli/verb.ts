/**
 * What a verb is. Each has a file of its own whose exports are a `Verb`, loaded when it is called.
 *
 * @module
 */
import type { z } from 'zod';
import type { Argv } from './args.ts';
import type { Output } from './output.ts';

export interface Io {
  readonly output: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Verb {
  /** First line: the words it takes, without `murmur`. Then, after a blank line, what it does and examples. */
  readonly usage: string;
  /** What it takes as flags, beside `--json` and `--help`. `flagsOf(flags, argv)` validates them. */
  readonly flags: z.ZodObject;
  /** @returns the fields of the last event. @throws {Fault} */
  run(argv: Argv, io: Io): Promise<Readonly<Record<string, unknown>>>;
}
