/**
 * `murmur methods`: what `method` takes, what each sets, and what it keeps of the promises of a run.
 *
 * @module
 */
import { z } from 'zod';
import { Fault } from '../faults.ts';
import type { Algebra } from '../method/recipe.ts';
import { RECIPES } from '../method/recipes.ts';
import { type Argv, flagsOf } from './args.ts';
import { closest } from './suggest.ts';
import type { Io } from './verb.ts';

export const usage: string = `methods [name] [flags]

Lists the methods a run can have, or shows one: the keys it sets, each of which a run file or a flag may set otherwise.
  murmur methods
  murmur methods mezo`;

const none = z.strictObject({});
export const flags: z.ZodObject = none;

/** What the steps of a method are in a swarm. */
export const PROMISES: Readonly<Record<Algebra, string>> = {
  sum: 'in a swarm; order is nothing, a record can be taken back',
  fold: 'in a swarm; rounds in order, no record can be taken back',
  exchange: 'in a swarm; vectors by hash, rounds in order, no share can be taken back',
  local: 'on one machine: its gradient is many floats, which no byte carries',
};

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  flagsOf(none, argv);
  const [name, ...more] = argv.words;
  if (more.length > 0) throw new Fault('CONFIG_INVALID', `methods: takes one name, got ${argv.words.length} words`);
  if (name === undefined) {
    output.table('Methods', [
      ['method', 'runs', 'what it is'],
      ...RECIPES.map(({ name: own, algebra, summary }) => [own, algebra, summary]),
    ]);
    for (const [algebra, promise] of Object.entries(PROMISES)) output.note(`${algebra}: ${promise}`);
    return output.json ? { methods: RECIPES } : {};
  }
  const recipe = RECIPES.find((one) => one.name === name);
  if (!recipe) {
    const near = closest(
      name,
      RECIPES.map((one) => one.name),
    );
    const remedy = near ? `did you mean "${near}"?` : '"murmur methods" lists them';
    throw new Fault('CONFIG_INVALID', `"${name}": not a method; ${remedy}`);
  }
  const { keys, ...rest } = recipe;
  output.text(
    `${rest.summary}\n${PROMISES[rest.algebra]}\ndocs/papers/${rest.page}\n\n${Object.entries({ method: name, ...keys })
      .map(([key, value]) => `${key}: ${value}\n`)
      .join('')}`,
  );
  return output.json ? { ...recipe } : {};
}
