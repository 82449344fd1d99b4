/**
 * `--help`, made from the verb table and the schemas.
 *
 * @module
 */
import { COMMON } from './args.ts';
import { expectation } from './check.ts';
import { GROUPS, type Property, propertiesOf } from './keys.ts';
import type { Verb } from './verb.ts';

/** `murmur --help`. */
export function overview(verbs: Readonly<Record<string, { readonly summary: string }>>): string {
  const width = Math.max(...Object.keys(verbs).map((name) => name.length));
  const list = Object.entries(verbs).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    'Several ordinary machines fine-tune one language model, one byte per gradient.',
    '',
    'Usage: murmur <verb> [flags]',
    '',
    ...list,
    '',
    'murmur <verb> --help says more. --json prints one JSON object per line. --version prints the version.',
    '',
  ].join('\n');
}

/** `murmur <verb> --help`. */
export function verbHelp(verb: Verb): string {
  const [synopsis = '', ...rest] = verb.usage.trim().split('\n');
  const own = propertiesOf(verb.flags);
  const grouped = new Set<string>(Object.values(GROUPS).flat());
  const loose = Object.keys(own).filter((key) => !grouped.has(key));
  const sections = Object.entries(GROUPS)
    .map(([title, keys]) => [title, keys.filter((key) => Object.hasOwn(own, key))] as const)
    .filter(([, keys]) => keys.length > 0)
    .flatMap(([title, keys]) => ['', `${title}:`, ...keys.map((key) => flagLine(key, own[key]!))]);
  return [
    `Usage: murmur ${synopsis}`,
    ...rest,
    ...sections,
    '',
    'flags:',
    ...loose.map((key) => flagLine(key, own[key]!)),
    ...Object.entries(COMMON).map(([key, property]) => flagLine(key, property)),
    '',
  ].join('\n');
}

const INDENT = 34;
const WIDTH = 110;

function flagLine(key: string, property: Property): string {
  const choices = property.enum?.join('|') ?? '';
  const kind = choices === '' || choices.length > WIDTH - INDENT ? `<${property.type ?? 'text'}>` : choices;
  const takes = property.type === 'boolean' ? '' : ` ${kind}`;
  const head = `  --${key}${takes}`;
  const fallback = property.default === undefined ? '' : ` [${String(property.default)}]`;
  const text = wrap(`${property.description ?? expectation(property)}${fallback}`, WIDTH - INDENT);
  const first = head.length < INDENT - 1 ? [head.padEnd(INDENT) + text[0]] : [head, ' '.repeat(INDENT) + text[0]];
  return [...first, ...text.slice(1).map((line) => ' '.repeat(INDENT) + line)].join('\n');
}

function wrap(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line === '') lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}
