/**
 * Texts that follow a prompt: the candidates of a multiple choice, and answers in words. The model is taught the tokens
 * of the right one, nothing of the prompt (MeZO, Malladi et al. 2023, App. E.2).
 *
 * @module
 */
import type { Example, Task } from '../nouns.ts';
import { type DataFile, dataFault, type Row } from './rows.ts';
import { parseTemplate, renderTemplate } from './template.ts';
import { bare, type Encoder, opening } from './tokens.ts';

export interface Completed {
  readonly examples: readonly Example[];
  /** Examples that lost the front of their prompt. */
  readonly truncated: number;
}

/**
 * One example a row. A prompt that is too long with what follows it, or with what may be written after it, loses tokens
 * from the front, after what the tokenizer opens a text with.
 * @throws {Fault} DATA_INVALID, CONFIG_INVALID (template)
 */
export function completedExamples(
  task: Task & { kind: 'candidates' | 'answer' },
  file: DataFile,
  rows: readonly Row[],
  encoder: Encoder,
  positions: number,
): Completed {
  const template = parseTemplate(task.prompt);
  const start = opening(encoder);
  let truncated = 0;
  const examples = rows.map((row): Example => {
    const prompt = renderTemplate(template, row, file.name);
    const refuse = (detail: string) => dataFault(file.name, row.line, detail);
    let isCut = false;
    /** At most so many tokens of the text, from its end. */
    const fitted = (ids: readonly number[], room: number): readonly number[] => {
      if (ids.length > room) isCut = true;
      return ids.slice(Math.max(0, ids.length - room));
    };
    const followed = (completion: string): Example => {
      const { prefix, rest } = parted(encoder, prompt, completion, start.length);
      if (rest.length === 0) throw refuse(`nothing is left of ${JSON.stringify(completion)} in tokens; give it words`);
      const room = positions - start.length - rest.length + 1; // the last token is predicted and not read
      if (room < 1) throw refuse(`${rest.length} tokens do not fit into the ${positions} positions of the model`);
      const read = [...start, ...fitted(prefix, room), ...rest];
      const first = read.length - rest.length;
      return {
        tokens: Int32Array.from(read.slice(0, -1)),
        at: Int32Array.from(rest, (_, i) => first + i - 1),
        targets: Int32Array.from(rest),
      };
    };
    const made = task.kind === 'candidates' ? candidatesOf(task, row, file, followed) : answerOf();
    if (isCut) truncated++;
    return made;

    function answerOf(): Example {
      if (task.kind !== 'answer') throw new TypeError('"task" expected answer');
      const accepted = task.answers_column === '' ? [] : textsOf(row, task.answers_column, file);
      const room = positions - start.length - task.max_new_tokens;
      if (room < 1)
        throw refuse(
          `max_new_tokens: ${task.max_new_tokens} leave no room in the ${positions} positions of the model; lower it`,
        );
      const ids = [...start, ...fitted(bare(encoder, prompt), room)];
      if (ids.length === 0) throw refuse('the prompt is empty; give it some text');
      const judged = { answer: { ids, prompt, accepted }, row: row.columns };
      const [first] = accepted;
      if (first === undefined)
        return { tokens: Int32Array.from(ids), at: new Int32Array(0), targets: new Int32Array(0), ...judged };
      return { ...taught(followed(first + (task.stop[0] ?? '')), task.stop.length > 0, encoder, positions), ...judged };
    }
  });
  return { examples, truncated };
}

/** Without a stop string, an answer is taught to end as texts end. */
function taught(example: Example, stops: boolean, { end }: Encoder, positions: number): Example {
  const last = example.targets.at(-1);
  if (stops || end === undefined || last === undefined || example.tokens.length >= positions) return example;
  return {
    tokens: Int32Array.from([...example.tokens, last]),
    at: Int32Array.from([...example.at, example.tokens.length]),
    targets: Int32Array.from([...example.targets, end]),
  };
}

/** Tokens that prompt and completion have together, cut where they part from those of the prompt alone. */
function parted(encoder: Encoder, prompt: string, completion: string, opened: number) {
  const alone = bare(encoder, prompt);
  const whole = bare(encoder, prompt + completion);
  const differ = whole.findIndex((id, i) => alone[i] !== id);
  // Something must be read before the first token that is predicted.
  const cut = Math.max(differ < 0 ? whole.length : differ, opened > 0 ? 0 : 1);
  return { prefix: whole.slice(0, cut), rest: whole.slice(cut) };
}

function candidatesOf(
  task: Task & { kind: 'candidates' },
  row: Row,
  file: DataFile,
  followed: (completion: string) => Example,
): Example {
  const texts = textsOf(row, task.candidates_column, file);
  if (texts.length < 2)
    throw dataFault(file.name, row.line, `column "${task.candidates_column}" holds ${texts.length}; give two or more`);
  const right = listOf(row, task.answer_column, file).map(Number);
  const stray = right.find((i) => !(Number.isInteger(i) && i >= 0 && i < texts.length));
  if (right.length === 0 || stray !== undefined)
    throw dataFault(
      file.name,
      row.line,
      `column "${task.answer_column}" must hold an index 0 … ${texts.length - 1}, or a list of some`,
    );
  const candidates = texts.map(followed);
  return { ...candidates[right[0]!]!, choice: { candidates, right } };
}

/** A column as texts: one, or a list. CSV has lists as JSON. */
function textsOf(row: Row, column: string, file: DataFile): readonly string[] {
  const texts = listOf(row, column, file);
  if (texts.length > 0 && texts.every((text) => typeof text === 'string' || typeof text === 'number'))
    return texts.map(String);
  throw dataFault(file.name, row.line, `column "${column}" must hold a text, or a list of texts`);
}

function listOf(row: Row, column: string, file: DataFile): readonly unknown[] {
  const value = Object.hasOwn(row.columns, column) ? row.columns[column] : undefined;
  if (value === undefined) {
    const names = Object.keys(row.columns).map((name) => `"${name}"`);
    throw dataFault(file.name, row.line, `no column "${column}"; it has ${names.join(', ') || 'none'}`);
  }
  if (Array.isArray(value)) return value;
  if (typeof value !== 'string' || !/^\s*\[/.test(value)) return [value];
  try {
    const parsed: unknown = JSON.parse(value);
    return Array.isArray(parsed) ? parsed : [value];
  } catch {
    return [value]; // a text that happens to start so
  }
}
