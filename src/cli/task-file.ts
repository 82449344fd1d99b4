/**
 * A task as a YAML file: written by a user, or printed by `murmur tasks` to be copied and changed.
 *
 * @module
 */
import { stringify } from 'yaml';
import { z } from 'zod';
import type { RowTask } from '../data/tasks/task.ts';
import { TASKS } from '../data/tasks/tasks.ts';
import { Fault } from '../faults.ts';
import { check } from './check.ts';
import { readYaml } from './yaml.ts';

const text = () => z.string().min(1);
const keys = {
  kind: z.enum(['choice', 'candidates', 'answer']).optional(),
  prompt: text().optional(),
  label_column: text().default('label'),
  labels: z.record(z.string(), text()).optional(),
  candidates_column: text().default('candidates'),
  answer_column: text().default('answer'),
  answers_column: text().default('answers'),
  max_new_tokens: z.int().min(1).max(4096).default(50),
  stop: z.array(text()).default(['\n']),
  rows: text().optional(),
};
const schema = z.strictObject(keys);
type TaskFile = z.output<typeof schema>;
type Key = keyof typeof keys;

/** What each kind has beside `kind`, `prompt` and `rows`. */
const OWN: Readonly<Record<RowTask['kind'], readonly Key[]>> = {
  choice: ['label_column', 'labels'],
  candidates: ['candidates_column', 'answer_column'],
  answer: ['answers_column', 'max_new_tokens', 'stop'],
};

/** @throws {Fault} CONFIG_INVALID naming file, line and remedy */
export function readTask(name: string, source: string): RowTask {
  const described = 'a task; write "key: value" lines, as "murmur tasks sst2" prints them';
  const { values, lines } = readYaml(name, source, described);
  const where = (key: string): string => `${name}:${lines.get(key) ?? 1}: ${key}`;
  const refuse = (key: Key, detail: string): never => {
    throw new Fault('CONFIG_INVALID', `${where(key)}: ${detail}`);
  };
  const file = check<TaskFile>(schema, values, where);
  const { kind = refuse('kind', 'is missing; write choice, candidates or answer'), prompt, rows } = file;
  if (prompt === undefined)
    return refuse('prompt', 'is missing; write the text before the answer, such as "{text} It was"');
  for (const [other, own] of Object.entries(OWN)) {
    const alien = other === kind ? undefined : own.find((key) => lines.has(key));
    if (alien) refuse(alien, `is for kind ${other}, not ${kind}; leave it out`);
  }
  if (rows !== undefined && !TASKS.some((task) => task.name === rows))
    refuse('rows', `${JSON.stringify(rows)} is not a named task; "murmur tasks" lists them`);
  const common = { prompt, ...(rows === undefined ? {} : { rows }) };
  switch (kind) {
    case 'choice': {
      const labels = Object.entries(file.labels ?? {}).map(([value, word]) => ({ value, word }));
      if (labels.length < 2)
        refuse('labels', 'needs a word for each of two or more classes, such as {0: " terrible", 1: " great"}');
      return { kind, ...common, label_column: file.label_column, labels };
    }
    case 'candidates':
      return { kind, ...common, candidates_column: file.candidates_column, answer_column: file.answer_column };
    case 'answer':
      return {
        ...{ kind, ...common, answers_column: file.answers_column },
        ...{ max_new_tokens: file.max_new_tokens, stop: file.stop },
      };
  }
}

/** What `readTask` reads as this task. */
export function printedTask(task: RowTask): string {
  const labels = task.kind === 'choice' ? Object.fromEntries(task.labels.map(({ value, word }) => [value, word])) : {};
  return stringify(task.kind === 'choice' ? { ...task, labels } : task, {
    defaultStringType: 'QUOTE_DOUBLE',
    defaultKeyType: 'PLAIN',
    lineWidth: 0,
    doubleQuotedMinMultiLineLength: 10_000,
  });
}
