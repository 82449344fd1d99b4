/**
 * `murmur tasks`: the named tasks, or one of them as a file to copy and change.
 *
 * @module
 */
import { z } from 'zod';
import type { HubData, NamedTask } from '../data/tasks/task.ts';
import { TASKS } from '../data/tasks/tasks.ts';
import { Fault } from '../faults.ts';
import type { Task } from '../nouns.ts';
import { type Argv, flagsOf } from './args.ts';
import { closest } from './suggest.ts';
import { printedTask } from './task-file.ts';
import type { Io } from './verb.ts';

export const usage: string = `tasks [name] [flags]

Lists the named tasks, or prints one as YAML: a copy of it, changed, is a task of your own.
  murmur tasks
  murmur tasks sst2 > my-task.yaml
  murmur train --model my-model --task my-task.yaml --data reviews.tsv`;

const own = z.strictObject({
  masked: z.boolean().default(false).describe('The prompt for masked models, such as RoBERTa.'),
});
export const flags: z.ZodObject = own;

const hubOf = ({ id, config }: HubData): string => (config === 'default' ? id : `${id}/${config}`);
const words = (task: Task): string =>
  task.kind === 'choice' ? task.labels.map(({ word }) => word.trim()).join(', ') : '';

const described = ({ name, title, causal, masked, hub, layouts, source }: NamedTask) => ({
  ...{ name, title, kind: causal.kind, causal, ...(masked ? { masked } : {}) },
  ...{ hub, layouts, source },
});

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  const { masked } = flagsOf(own, argv);
  const [name, ...more] = argv.words;
  if (more.length > 0) throw new Fault('CONFIG_INVALID', `tasks: takes one name, got ${argv.words.length}`);
  if (name === undefined) {
    output.table('Tasks', [
      ['task', 'kind', 'words', 'masked', 'data on the Hub', 'prompts'],
      ...TASKS.map((task) => [
        ...[task.name, task.causal.kind, words(task.causal), task.masked ? 'yes' : ''],
        ...[hubOf(task.hub), task.source],
      ]),
    ]);
    return { tasks: TASKS.map(described) };
  }
  const found = TASKS.find((task) => task.name === name);
  if (!found) {
    const near = closest(
      name,
      TASKS.map((task) => task.name),
    );
    throw new Fault(
      'CONFIG_INVALID',
      `tasks: none is called "${name}"; ${near ? `did you mean "${near}"?` : '"murmur tasks" lists them'}`,
    );
  }
  const task = masked ? found.masked : found.causal;
  if (!task) throw new Fault('CONFIG_INVALID', `tasks: ${name} has no prompt for masked models; leave --masked out`);
  const files = found.layouts.join('; ');
  output.text(`# ${found.title}: prompts ${found.source}. Files: ${files}.\n${printedTask(task)}`);
  return described(found);
}
