/**
 * The command line: words and flags. Which flags there are, and of what type, comes from the schema of the verb.
 *
 * @module
 */
import type { z } from 'zod';
import { Fault } from '../faults.ts';
import { check, unknownKey } from './check.ts';
import type { Property } from './keys.ts';
import { LEVELS, type Level } from './levels.ts';

/** A command line, taken apart. */
export interface Argv {
  /** Words that are not flags. */
  readonly words: readonly string[];
  /** Flags by key, as numbers, booleans or maps where the schema says so; not validated yet. */
  readonly flags: Readonly<Record<string, unknown>>;
}

/** Flags of every verb. */
export const COMMON: Readonly<Record<string, Property>> = {
  json: { type: 'boolean', description: 'One JSON object per line; the last has "event":"done".' },
  log_level: {
    type: 'string',
    enum: LEVELS,
    description: 'How much is said. Default: info; with --json, all there is.',
  },
  log_file: { type: 'string', description: 'Write what happens there too: JSON lines with time and level, added.' },
  help: { type: 'boolean', description: 'Show this.' },
};

const SHORT: Readonly<Record<string, string>> = { '-h': '--help', '-V': '--version' };

/**
 * Takes `--key value`, `--key=value`, `--flag` or `--flag false` for a boolean; `-` and `_` are the same in names; the last of two wins;
 * after `--` everything is a word.
 *
 * @throws {Fault} CONFIG_INVALID
 */
export function parseArgv(argv: readonly string[], properties: Readonly<Record<string, Property>>): Argv {
  const words: string[] = [];
  const flags: Record<string, unknown> = {};
  for (let i = 0; i < argv.length; i++) {
    const token = SHORT[argv[i]!] ?? argv[i]!;
    if (token === '--') {
      words.push(...argv.slice(i + 1));
      break;
    }
    if (!token.startsWith('-') || token === '-') {
      words.push(token);
      continue;
    }
    const equals = token.indexOf('=');
    const name = equals < 0 ? token : token.slice(0, equals);
    const key = name.replace(/^-+/, '').replaceAll('-', '_');
    const property = Object.hasOwn(properties, key) && name.startsWith('--') ? properties[key] : undefined;
    if (!property) {
      throw new Fault('CONFIG_INVALID', unknownKey(name, key, Object.keys(properties)));
    }
    let value = equals < 0 ? undefined : token.slice(equals + 1);
    if (property.type === 'boolean') value ??= /^(true|false)$/.test(argv[i + 1] ?? '') ? argv[++i] : 'true';
    if (value === undefined) {
      value = argv[++i];
      if (value === undefined || value.startsWith('--')) {
        throw new Fault('CONFIG_INVALID', `${name}: needs a value; write ${name}=… if it starts with --`);
      }
    }
    flags[key] = coerce(value, property);
  }
  return { words, flags };
}

/** Text → what the property holds. What does not fit stays text, for validation to refuse. */
function coerce(value: string, { type }: Property): unknown {
  switch (type) {
    case 'number':
    case 'integer':
      return value.trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : value;
    case 'boolean':
      return value === 'true' ? true : value === 'false' ? false : value;
    case 'object':
      return pairs(value) ?? value;
    default:
      return value;
  }
}

/** `a=x,b=y` → { a: x, b: y }; undefined where a pair has no `=`. Spaces count: label words start with one. */
function pairs(value: string): Record<string, string> | undefined {
  const entries = value.split(',').map((pair) => [pair.slice(0, pair.indexOf('=')).trim(), pair] as const);
  if (entries.some(([, pair]) => !pair.includes('='))) return undefined;
  return Object.fromEntries(entries.map(([key, pair]) => [key, pair.slice(pair.indexOf('=') + 1)]));
}

/** Of the flags that all verbs have. @throws {Fault} CONFIG_INVALID */
export function loggingOf({ flags: { log_level: level, log_file: file } }: Argv): {
  readonly level: Level | undefined;
  readonly file: string | undefined;
} {
  const isLevel = (value: unknown): value is Level => (LEVELS as readonly unknown[]).includes(value);
  if (level !== undefined && !isLevel(level))
    throw new Fault('CONFIG_INVALID', `--log_level: takes one of ${LEVELS.join(', ')}, got ${JSON.stringify(level)}`);
  return { level, file: file === undefined ? undefined : String(file) };
}

/** The flags of a verb, validated and with defaults. @throws {Fault} CONFIG_INVALID */
export const flagsOf = <S extends z.ZodObject>(schema: S, { flags }: Argv): z.output<S> =>
  // `z.output<S>` is what the schema gives, by its own definition; for an S that is not known yet TypeScript cannot see it.
  check(schema as unknown as z.ZodType<z.output<S>> & z.ZodObject, flags, (key) => `--${key}`);
