/**
 * `murmur schema`: what run files and refusals look like, for editors and programs.
 *
 * @module
 */
import { z } from 'zod';
import { FAULTS, Fault } from '../faults.ts';
import { type Argv, flagsOf } from './args.ts';
import { jsonSchema } from './keys.ts';
import type { Io } from './verb.ts';

export const usage: string = `schema [run|faults] [flags]

Prints the JSON Schema of run files (schema/murmur.schema.json is this), or every fault code with its meaning.
In a run file, "# yaml-language-server: $schema=murmur.schema.json" as first line makes editors check it.`;

const none = z.strictObject({});
export const flags: z.ZodObject = none;

const SUBJECTS: Readonly<Record<string, () => Readonly<Record<string, unknown>>>> = {
  run: jsonSchema,
  faults: () => FAULTS,
};

/** A JSON document as it is printed and published. */
export const printed = (document: unknown): string => `${JSON.stringify(document, null, 2)}\n`;

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  flagsOf(none, argv);
  const [subject = 'run', ...more] = argv.words;
  const make = Object.hasOwn(SUBJECTS, subject) && more.length === 0 ? SUBJECTS[subject] : undefined;
  if (!make) throw new Fault('CONFIG_INVALID', `schema: takes one of ${Object.keys(SUBJECTS).join(', ')}`);
  const document = make();
  output.text(printed(document));
  return { [subject === 'run' ? 'schema' : subject]: document };
}
