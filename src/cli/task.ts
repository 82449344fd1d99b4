/**
 * What `task` in a run file stands for: a kind, a named task, or a YAML file.
 *
 * @module
 */
import type { HubData } from '../data/tasks/task.ts';
import { TASKS } from '../data/tasks/tasks.ts';
import { Fault } from '../faults.ts';
import type { Task } from '../nouns.ts';
import type { RunFile } from './keys.ts';
import { closest } from './suggest.ts';
import { readTask } from './task-file.ts';

/** What a run learns, before it is known what kind of model reads it. */
export interface TaskChoice {
  /** As the run file calls it. */
  readonly name: string;
  /** For models that read from left to right. */
  readonly causal: Task;
  /** For masked models. Absent where nobody has written a prompt for them. */
  readonly masked?: Task;
  /** Where the task's own data are. */
  readonly hub?: HubData;
}

type Refuse = (key: keyof RunFile, detail: string) => never;

/** Part of the tokens that are hidden (Devlin et al. 2018, arXiv:1810.04805, section 3.1). */
const MASKED = 0.15;

const KINDS: Readonly<Record<string, (run: RunFile, refuse: Refuse) => Task>> = {
  lm: ({ block_size }) => ({ kind: 'lm', window: block_size }),
  masked_lm: ({ block_size }) => ({ kind: 'masked_lm', window: block_size, masked: MASKED }),
  choice: ({ prompt, label_column, labels = {} }, refuse) => {
    if (!prompt) return refuse('prompt', 'is missing; task choice needs one, such as "{text} It was"');
    const words = Object.entries(labels).map(([value, word]) => ({ value, word }));
    if (words.length < 2)
      refuse('labels', 'needs a word for each of two or more classes, such as {0: " terrible", 1: " great"}');
    return { kind: 'choice', prompt, label_column, labels: words };
  },
  candidates: (_, refuse) => refuse('task', 'candidates are described in a file: "murmur tasks copa" prints one'),
  answer: (_, refuse) => refuse('task', 'answer is described in a file: "murmur tasks squad" prints one'),
};

/** Keys that only some kinds have, and what to do about them elsewhere. */
const ONLY: Readonly<Record<'text' | 'rows' | 'named', readonly (readonly [keyof RunFile, string])[]>> = {
  text: [
    ['labels', 'is for task choice; give a prompt and no task: lm, or leave it out'],
    ['label_column', 'is for task choice; give a prompt and no task: lm, or leave it out'],
    ['prompt', 'is for task choice; give a prompt and no task: lm, or leave it out'],
    ['shots', 'is for tasks whose samples are rows; leave it out'],
    ['max_train_samples', 'is for tasks whose samples are rows; leave it out'],
  ],
  rows: [['block_size', 'is for task lm; leave it out']],
  named: [
    ['block_size', 'is for task lm; leave it out'],
    ['label_column', 'is said by the task already; leave it out'],
  ],
};

/**
 * @param given whether a key was written. @param readText the text of a file.
 * @throws {Fault} CONFIG_INVALID, FILE_MISSING
 */
export function chooseTask(
  run: RunFile,
  given: (key: keyof RunFile) => boolean,
  refuse: Refuse,
  readText: (path: string) => string,
): TaskChoice {
  const name = run.task ?? (run.prompt === undefined && !run.labels ? 'lm' : 'choice');
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  const only = ONLY[kind === undefined ? 'named' : name === 'lm' || name === 'masked_lm' ? 'text' : 'rows'];
  for (const [key, detail] of only) if (given(key)) refuse(key, detail);
  if (kind) {
    const task = kind(run, refuse);
    return { name, causal: task, masked: task };
  }
  const named = TASKS.find((task) => task.name === name);
  if (named) {
    const { causal, masked, hub } = named;
    // A prompt of the user's own is for whatever model the user has.
    const own = run.prompt === undefined ? masked : (masked ?? causal);
    return { name, causal: reworded(causal, run, refuse), ...(own ? { masked: reworded(own, run, refuse) } : {}), hub };
  }
  if (!/\.ya?ml$/.test(name)) return refuse('task', unknown(name));
  const task = reworded(readTask(name, readText(name)), run, refuse);
  return { name, causal: task, masked: task };
}

function unknown(name: string): string {
  const near = closest(
    name.toLowerCase().replaceAll(/[-_ ]/g, ''),
    TASKS.map((task) => task.name),
  );
  return `${JSON.stringify(name)} is neither a named task nor a .yaml file; ${near ? `did you mean "${near}"?` : '"murmur tasks" lists them'}`;
}

/** A task with the prompt and the label words that the run file has in their place. */
function reworded(task: Task, { prompt, labels }: RunFile, refuse: Refuse): Task {
  if (task.kind === 'lm' || task.kind === 'masked_lm') return task;
  const asked = prompt === undefined ? task : { ...task, prompt };
  if (!labels) return asked;
  if (asked.kind !== 'choice') return refuse('labels', `is for classes, and the task has none; leave it out`);
  const values = asked.labels.map(({ value }) => value);
  const alien = Object.keys(labels).find((value) => !values.includes(value));
  if (alien !== undefined) refuse('labels', `"${alien}" is not one of ${values.join(', ')}; name these`);
  return { ...asked, labels: asked.labels.map(({ value, word }) => ({ value, word: labels[value] ?? word })) };
}

/** The task for a model. @param masked whether it is one that fills gaps. @throws {Fault} CONFIG_INVALID */
export function taskFor(choice: TaskChoice, masked: boolean): Task {
  const task = masked ? choice.masked : choice.causal;
  if (task) return task;
  throw new Fault(
    'CONFIG_INVALID',
    `task: ${choice.name} has no prompt for masked models; give one with {mask} where the word goes, as --prompt`,
  );
}
