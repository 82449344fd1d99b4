/**
 * Validation with one clear line: what is wrong, where it was written, what it takes instead.
 *
 * @module
 */
import type { z } from 'zod';
import { Fault } from '../faults.ts';
import { type Property, propertiesOf } from './keys.ts';
import { closest } from './suggest.ts';

/** What a key takes, in words. */
export function expectation(property: Property): string {
  if (property.enum) return `one of ${property.enum.join(', ')}`;
  switch (property.type) {
    case 'integer':
      return `a whole number${bounds(property)}`;
    case 'number':
      return `a number${bounds(property)}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      return 'a list of texts, such as ["\\n"]';
    case 'object':
      return 'a word for each value, such as "0= terrible,1= great"';
    default:
      return property.examples ? `text such as ${property.examples[0]}` : 'text';
  }
}

/** Bounds worth saying: not those that only keep integers exact. */
function bounds({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Property): string {
  const said = [
    ...(exclusiveMinimum !== undefined ? [`above ${exclusiveMinimum}`] : []),
    ...(minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? [`at least ${minimum}`] : []),
    ...(exclusiveMaximum !== undefined ? [`below ${exclusiveMaximum}`] : []),
    ...(maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? [`at most ${maximum}`] : []),
  ];
  return said.length > 0 ? ` ${said.join(' and ')}` : '';
}

/**
 * @param where how a key is named to whoever wrote it: `--eps`, `run.yaml:3: eps`.
 * @throws {Fault} CONFIG_INVALID with every problem on one line.
 */
export function check<T>(
  schema: z.ZodType<T> & z.ZodObject,
  values: Readonly<Record<string, unknown>>,
  where: (key: string) => string,
): T {
  const result = schema.safeParse(values);
  if (result.success) return result.data;
  const properties = propertiesOf(schema);
  const problems = result.error.issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => unknownKey(where(key), key, Object.keys(properties)));
    }
    const key = String(issue.path[0]);
    const takes = expectation(properties[key] ?? {});
    const value = values[key];
    if (value === undefined) return [`${key} is missing; give --${key} or "${key}:" in a run file`];
    return [`${where(key)}: takes ${takes}, got ${key === 'hub_token' ? 'something else' : JSON.stringify(value)}`];
  });
  throw new Fault('CONFIG_INVALID', [...new Set(problems)].join('; '));
}

/** @param where as it was written: what is suggested for a flag begins with `--`. */
export function unknownKey(where: string, key: string, known: readonly string[]): string {
  const near = closest(key.replaceAll('-', '_'), known);
  const remedy = near
    ? `did you mean "${where.startsWith('-') ? '--' : ''}${near}"?`
    : '"murmur schema" lists the keys';
  return `${where}: unknown; ${remedy}`;
}
