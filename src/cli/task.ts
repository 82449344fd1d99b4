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

const KINDS: Readonly<Record<string, (run: RunFile, refuse: Refuse) => Task>> = {
  lm: ({ block_size }) => ({ kind: 'lm', window: block_size }),
  masked_lm: ({ block_size, mlm_probability: masked }) => ({ kind: 'masked_lm', window: block_size, masked }),
  choice: ({ prompt, label_column, labels = {} }, refuse) => {
    if (!prompt) return refuse('prompt', 'is missing; task choice needs one, such as "{text} It was"');
    const words = Object.entries(labels).map(([value, word]) => ({ value, word }));
    if (words.length < 2)
      refuse('labels', 'needs a word for each of two or more classes, such as {0: " terrible", 1: " great"}');
    return { kind: 'choice', prompt, label_column, labels: words };
  },
  candidates: ({ prompt, candidates_column, answer_column }, refuse) => {
    if (!prompt) return refuse('prompt', 'is missing; task candidates needs one, such as "{premise} so"');
    return { kind: 'candidates', prompt, candidates_column, answer_column };
  },
  answer: ({ prompt, objective, answers_column, max_new_tokens, stop }, refuse) => {
    if (!prompt) return refuse('prompt', 'is missing; task answer needs one, such as "{question} Answer:"');
    const column = answers_column ?? (objective === 'reward' ? '' : 'answers');
    return { kind: 'answer', prompt, answers_column: column, max_new_tokens, stop: wordsOf(stop) };
  },
};

/** `a|b` as a list, `\\n` in it as the end of a line. */
export const wordsOf = (text: string | undefined): string[] =>
  text === undefined || text === '' ? [] : text.split('|').map((word) => word.replaceAll('\\n', '\n'));

type TaskKind = Task['kind'];

/** Keys that have a meaning for some kinds of task only. */
const KIND_KEYS: readonly (readonly [keyof RunFile, readonly TaskKind[]])[] = [
  ['labels', ['choice']],
  ['label_column', ['choice']],
  ['prompt', ['choice', 'candidates', 'answer']],
  ['block_size', ['lm', 'masked_lm']],
  ['candidates_column', ['candidates']],
  ['answer_column', ['candidates']],
  ['answers_column', ['answer']],
  ['max_new_tokens', ['answer']],
  ['stop', ['answer']],
  ['mlm_probability', ['masked_lm']],
  ['shots', ['choice', 'candidates', 'answer']],
  ['max_train_samples', ['choice', 'candidates', 'answer']],
];

/** Keys that a named task or one in a file answers itself. */
const SAID: readonly (keyof RunFile)[] = [
  ...(['label_column', 'candidates_column', 'answer_column', 'answers_column', 'max_new_tokens', 'stop'] as const),
];

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
  if (kind) {
    for (const [key, kinds] of KIND_KEYS)
      if (given(key) && !kinds.includes(name as TaskKind))
        refuse(key, `is for task ${kinds.join(' or ')}; leave it out`);
    const task = reworded(kind(run, refuse), run, refuse);
    return { name, causal: task, masked: task };
  }
  if (given('block_size')) refuse('block_size', 'is for task lm or masked_lm; leave it out');
  for (const key of SAID) if (given(key)) refuse(key, 'is said by the task already; leave it out');
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

/** A task with the prompt, the label words and the temperature that the run file has in their place. */
function reworded(given: Task, { prompt, labels, temperature }: RunFile, refuse: Refuse): Task {
  if (given.kind === 'lm' || given.kind === 'masked_lm') return given;
  const task = given.kind === 'answer' && temperature > 0 ? { ...given, temperature } : given;
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
