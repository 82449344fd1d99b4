/**
 * Prompt templates: `{column}` stands for a column, `{sentence|content}` for the first of these that the row has (data
 * sets whose files disagree on names are common), `{mask}` for the mask token of a masked model, `{{` and `}}` for braces.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { cell, type Row } from './rows.ts';

/** A literal, or the columns a placeholder may read. */
type Part = string | readonly string[];

export type Template = readonly Part[];

/** What stands for the mask token, hence for no column. */
const MASK = 'mask';
const isMask = (part: Part): boolean => typeof part !== 'string' && part.join('|') === MASK;

/** @throws {Fault} CONFIG_INVALID for a brace without its partner, or a prompt that reads no column. */
export function parseTemplate(prompt: string): Template {
  const parts: Part[] = [];
  let literal = '';
  for (const [token] of prompt.matchAll(/\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+/g)) {
    if (token === '{' || token === '}') {
      throw new Fault(
        'CONFIG_INVALID',
        `prompt: a lone "${token}" in ${JSON.stringify(prompt)}; write it twice to mean a brace`,
      );
    }
    if (token === '{{' || token === '}}') literal += token[0];
    else if (token[0] === '{') {
      parts.push(literal, token.slice(1, -1).split('|'));
      literal = '';
    } else literal += token;
  }
  parts.push(literal);
  if (parts.every((part) => typeof part === 'string' || isMask(part))) {
    throw new Fault(
      'CONFIG_INVALID',
      `prompt: ${JSON.stringify(prompt)} reads no column; name one, as in "{text} It was"`,
    );
  }
  return parts;
}

/** A template up to its first `{mask}`, and what comes after it; undefined: it has none. */
export function splitAtMask(template: Template): readonly [before: Template, after: Template] | undefined {
  const at = template.findIndex(isMask);
  return at < 0 ? undefined : [template.slice(0, at), template.slice(at + 1)];
}

/** The prompt of a row. @throws {Fault} DATA_INVALID for a column the row does not have. */
export function renderTemplate(template: Template, row: Row, file: string): string {
  return template
    .map((part) => {
      if (typeof part === 'string') return part;
      const column = part.find((name) => Object.hasOwn(row.columns, name)) ?? part[0]!;
      return cell(row, column, file);
    })
    .join('');
}
