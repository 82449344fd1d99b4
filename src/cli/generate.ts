/**
 * `murmur generate`: text from a run's weights.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { cell, readRows } from '../data/rows.ts';
import { Fault } from '../faults.ts';
import { noiseUniforms } from '../numeric/uniform.ts';
import { fileRefusal } from '../peer/node/file-refusal.ts';
import { openRun } from '../peer/node/run-folder.ts';
import { type Argv, flagsOf } from './args.ts';
import { oneRun, pastFlags, rebuild, roundsWanted } from './past.ts';
import { wordsOf } from './task.ts';
import type { Io } from './verb.ts';

export const usage: string = `generate <output_dir> --prompt TEXT [flags]

Continues a text with the weights of a run, at its end or after any round; or many texts side by side.
  murmur generate out --prompts questions.jsonl --max_new_tokens 16 --stop "\\n" --json
  murmur generate out --prompt "Once upon a time"
  murmur generate out --prompt "Once upon a time" --rounds 0 --temperature 0.8 --seed 7`;

const own = z.strictObject({
  ...pastFlags,
  prompt: z.string().min(1).optional().describe('Text to continue.'),
  prompts: z.string().min(1).optional().describe('File of many: .jsonl, .csv or .tsv with a column "prompt".'),
  max_new_tokens: z.int().min(1).max(100_000).default(64).describe('Tokens to write at most.'),
  temperature: z
    .number()
    .min(0)
    .max(100)
    .default(0)
    .describe('0 takes the likeliest token; 1 draws as the model says.'),
  top_p: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('Draws from the likeliest tokens only that together have this probability.'),
  stop: z.string().optional().describe('Texts to end before, with | between them; \\n is the end of a line.'),
  seed: z.int().min(0).max(0xffff_ffff).default(0).describe('Of the draws: the same seed gives the same text.'),
  rounds: z.int().min(0).optional().describe('Weights after so many rounds; 0 is the base. Default: all.'),
});
export const flags: z.ZodObject = own;

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  const given = flagsOf(own, argv);
  const prompts = await promptsOf(given);
  const past = await openRun(oneRun('generate', argv), given);
  const until = roundsWanted(past, given.rounds);
  const replica = await rebuild(past, given, output, { until });
  try {
    const { max_new_tokens, temperature, top_p, seed, stop } = given;
    const all = noiseUniforms(seed, max_new_tokens * prompts.length);
    const draws = prompts.map((_, i) => all.slice(i * max_new_tokens, (i + 1) * max_new_tokens));
    const writing = { max_new_tokens, temperature, top_p, stop: wordsOf(stop), draws };
    const texts = await replica.generate(prompts, writing);
    for (const [i, text] of texts.entries()) {
      output.text(`${prompts[i]}${text}\n`);
      if (output.json && given.prompts !== undefined) output.event({ event: 'text', prompt: prompts[i], text });
    }
    return output.json && given.prompt !== undefined ? { prompt: given.prompt, text: texts[0] } : {};
  } finally {
    await replica.close();
  }
}

/** @throws {Fault} CONFIG_INVALID, FILE_MISSING, FILE_REFUSED, DATA_INVALID */
async function promptsOf({ prompt, prompts: file }: z.output<typeof own>): Promise<readonly string[]> {
  if ((prompt === undefined) === (file === undefined))
    throw new Fault(
      'CONFIG_INVALID',
      prompt === undefined
        ? '--prompt is missing; give it, or --prompts with a file'
        : '--prompts: not beside --prompt; leave one out',
    );
  if (file === undefined) return [prompt!];
  const bytes = await readFile(file).catch((cause) => {
    throw fileRefusal(cause) ?? new Fault('FILE_MISSING', `${file} is not there; check the path`, { cause });
  });
  return readRows({ name: file, bytes }).map((row) => cell(row, 'prompt', file));
}
