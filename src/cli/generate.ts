/**
 * `murmur generate`: text from a run's weights.
 *
 * @module
 */
import { z } from 'zod';
import { noiseUniforms } from '../numeric/uniform.ts';
import { openRun } from '../peer/node/run-folder.ts';
import { type Argv, flagsOf } from './args.ts';
import { oneRun, pastFlags, rebuild, roundsWanted } from './past.ts';
import type { Io } from './verb.ts';

export const usage: string = `generate <output_dir> --prompt TEXT [flags]

Continues a text with the weights of a run, at its end or after any round.
  murmur generate out --prompt "Once upon a time"
  murmur generate out --prompt "Once upon a time" --rounds 0 --temperature 0.8 --seed 7`;

const own = z.strictObject({
  ...pastFlags,
  prompt: z.string().min(1).describe('Text to continue.'),
  max_new_tokens: z.int().min(1).max(100_000).default(64).describe('Tokens to write at most.'),
  temperature: z
    .number()
    .min(0)
    .max(100)
    .default(0)
    .describe('0 takes the likeliest token; 1 draws as the model says.'),
  seed: z.int().min(0).max(0xffff_ffff).default(0).describe('Of the draws: the same seed gives the same text.'),
  rounds: z.int().min(0).optional().describe('Weights after so many rounds; 0 is the base. Default: all.'),
});
export const flags: z.ZodObject = own;

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  const given = flagsOf(own, argv);
  const past = await openRun(oneRun('generate', argv), given);
  const until = roundsWanted(past, given.rounds);
  const replica = await rebuild(past, given, output, { until });
  try {
    const { prompt, max_new_tokens, temperature, seed } = given;
    const draws = noiseUniforms(seed, max_new_tokens);
    const text = await replica.generate(prompt, { max_new_tokens, temperature, draws });
    output.text(`${prompt}${text}\n`);
    return output.json ? { prompt, text } : {};
  } finally {
    await replica.close();
  }
}
