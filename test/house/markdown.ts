/**
 * Code blocks and command lines of a Markdown page.
 *
 * @module
 */

export interface Block {
  /** What follows the opening fence: `ts`, `sh`, `sh run`. */
  readonly info: string;
  readonly text: string;
  /** Of the first line of `text`, from 1. */
  readonly line: number;
}

/** Fenced blocks, in order. Fences are three backticks at the start of a line. */
export function blocksOf(markdown: string): readonly Block[] {
  const lines = markdown.split(/\r?\n/);
  const blocks: Block[] = [];
  for (let i = 0; i < lines.length; i++) {
    const opening = /^```(.*)$/.exec(lines[i]!);
    if (!opening) continue;
    const start = i + 1;
    do i++;
    while (i < lines.length && !/^```\s*$/.test(lines[i]!));
    blocks.push({ info: opening[1]!.trim(), text: lines.slice(start, i).join('\n'), line: start + 1 });
  }
  return blocks;
}

const CONNECTIVE = /^(&&|\|\||[|;&])$/;

/**
 * Commands of a shell block, each as its words. Knows what documentation needs: comments, quotes, lines continued by a
 * backslash, commands joined by `&&`, `;` or `|`; variables and substitutions stay text.
 */
export function commandsOf(shell: string): readonly (readonly string[])[] {
  const commands: string[][] = [];
  for (const line of shell.replaceAll(/\\\n/g, ' ').split('\n')) {
    let words: string[] = [];
    for (const [token] of line.matchAll(/#.*|&&|\|\||[|;&]|(?:[^\s'"|;&]|'[^']*'|"[^"]*")+/g)) {
      if (token.startsWith('#')) break;
      if (CONNECTIVE.test(token)) {
        commands.push(words);
        words = [];
      } else {
        words.push(token.replaceAll(/'([^']*)'|"([^"]*)"/g, '$1$2'));
      }
    }
    commands.push(words);
  }
  return commands.filter((words) => words.length > 0);
}

export interface Vocabulary {
  /** Help text of a verb; undefined if there is no such verb. */
  readonly help: (verb: string) => string | undefined;
  /** Scripts of package.json. */
  readonly scripts: readonly string[];
}

/** What is wrong with a command: an unknown verb or flag of murmur, an unknown npm script. Other programs are not known. */
export function commandProblems(words: readonly string[], { help, scripts }: Vocabulary): string[] {
  const [program, first, ...rest] = words.filter((word, i) => i > 0 || !/^[A-Z_]+=/.test(word));
  if (program === 'npm' && (first === 'run' || first === 'test')) {
    const script = first === 'test' ? first : (rest[0] ?? '');
    return scripts.includes(script) ? [] : [`there is no script "${script}" in package.json`];
  }
  if (program !== 'npx' || first !== 'murmur') return [];
  const [verb = '', ...args] = rest;
  if (verb.startsWith('--')) return [];
  const text = help(verb);
  if (text === undefined) return [`murmur has no verb "${verb}"`];
  const flags = args.filter((arg) => /^--\w/.test(arg)).map((arg) => arg.split('=')[0]!.replaceAll('-', '_').slice(2));
  return flags
    .filter((flag) => !new RegExp(`--${flag}\\b`).test(text))
    .map((flag) => `murmur ${verb} has no flag "--${flag}"`);
}
