/**
 * What the documentation tells people to type works. In README.md and docs/: a `ts` block is compiled and run, a
 * command of an `sh` block has verbs, flags and scripts that exist, an `sh run` block is also executed (in an empty
 * folder that holds `assets`).
 *
 * Needs dist/, which `npm test` builds first.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blocksOf, commandProblems, commandsOf, type Vocabulary } from './markdown.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = join(root, 'bin/murmur.js');
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> };

const run = (file: string, args: readonly string[], cwd = root): string =>
  execFileSync(file, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 });

const helps = new Map<string, string | undefined>();
const vocabulary: Vocabulary = {
  scripts: Object.keys(scripts),
  help: (verb) => {
    if (!helps.has(verb)) {
      try {
        helps.set(verb, run(process.execPath, [bin, verb, '--help']));
      } catch {
        helps.set(verb, undefined);
      }
    }
    return helps.get(verb);
  },
};

// Inside the package, so that `import 'murmur'` finds the package itself.
const scratch = join(root, 'build', `readme-${process.pid}`);

/** Compiles and runs a program against dist/. @returns what it printed. */
function execute(name: string, code: string): string {
  const file = join(scratch, `${name}.ts`);
  writeFileSync(file, code);
  const options: ts.CompilerOptions = {
    ...{ strict: true, noEmitOnError: true, skipLibCheck: true, types: ['node'], outDir: scratch, rootDir: scratch },
    ...{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext },
  };
  const { diagnostics } = ts.createProgram([file], options).emit();
  const problems = [...diagnostics].map((d) => ts.flattenDiagnosticMessageText(d.messageText, '\n'));
  if (problems.length > 0) throw new TypeError(problems.join('\n'));
  return run(process.execPath, [join(scratch, `${name}.js`)]);
}

const pages = ['README.md', ...(existsSync(join(root, 'docs')) ? docs(join(root, 'docs')) : [])];
function docs(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.md')).map((name) => join('docs', name));
}

beforeAll(() => mkdirSync(scratch, { recursive: true }));
afterAll(() => rmSync(scratch, { recursive: true }));

describe.each(pages.filter((page) => existsSync(join(root, page))))('%s', (page) => {
  const blocks = blocksOf(readFileSync(join(root, page), 'utf8'));
  const shell = blocks.filter(({ info }) => /^(sh|bash|shell|console)\b/.test(info));
  const programs = blocks.filter(({ info }) => info === 'ts');

  test('commands name verbs, flags and scripts that exist', () => {
    const problems = shell.flatMap(({ text, line }) =>
      commandsOf(text).flatMap((words) =>
        commandProblems(words, vocabulary).map((problem) => `${page}:${line}: ${problem}`),
      ),
    );
    expect(problems).toEqual([]);
  });

  for (const { text, line } of shell.filter(({ info }) => info === 'sh run')) {
    test(`the commands of line ${line} run`, { timeout: 180_000 }, () => {
      const folder = mkdtempSync(join(tmpdir(), 'murmur-readme-'));
      try {
        if (existsSync(join(root, 'assets'))) symlinkSync(join(root, 'assets'), join(folder, 'assets'));
        run('sh', ['-ec', text.replaceAll('npx murmur', `"${process.execPath}" "${bin}"`)], folder);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }

  for (const { text, line } of programs) {
    test(`the program of line ${line} compiles and runs`, { timeout: 180_000 }, () => {
      execute(`${page.replaceAll(/\W/g, '-')}-${line}`, text);
    });
  }
});

test.skipIf(!existsSync(join(root, 'README.md')))(
  'README.md has commands and a program to check (skipped: no README.md yet)',
  () => {
    const blocks = blocksOf(readFileSync(join(root, 'README.md'), 'utf8'));
    expect(blocks.filter(({ info }) => info.startsWith('sh')).flatMap(({ text }) => commandsOf(text))).not.toEqual([]);
  },
);

describe('the checks can fail', () => {
  const page = [
    'text',
    '```sh',
    'npm install && npx murmur train \\',
    "  --model x --labels 'a=b c,d=e' --max-steps=4 --json   # a comment --not",
    '# npx murmur nothing',
    'FAST=1 npx murmur nope; npm run none | cat',
    '```',
    '```ts',
    'console.log(1);',
    '```',
  ].join('\n');

  test('blocks and commands are found as written', () => {
    expect(blocksOf(page).map(({ info, line }) => [info, line])).toEqual([
      ['sh', 3],
      ['ts', 9],
    ]);
    expect(commandsOf(blocksOf(page)[0]!.text)).toEqual([
      ['npm', 'install'],
      ['npx', 'murmur', 'train', '--model', 'x', '--labels', 'a=b c,d=e', '--max-steps=4', '--json'],
      ['FAST=1', 'npx', 'murmur', 'nope'],
      ['npm', 'run', 'none'],
      ['cat'],
    ]);
  });

  test('an unknown verb, flag or script is a problem', () => {
    const known: Vocabulary = {
      scripts: ['build'],
      help: (verb) => (verb === 'train' ? '  --model <text>\n  --max_steps <number>\n  --json' : undefined),
    };
    const problems = commandsOf(blocksOf(page)[0]!.text).flatMap((words) => commandProblems(words, known));
    expect(problems).toEqual([
      'murmur train has no flag "--labels"',
      'murmur has no verb "nope"',
      'there is no script "none" in package.json',
    ]);
  });

  test('a program that does not compile, or throws, is a failure', { timeout: 60_000 }, () => {
    expect(execute('good', 'console.log(6 * 7);')).toBe('42\n');
    expect(() => execute('wrong-type', "const n: number = 'x';\nconsole.log(n);")).toThrow(/not assignable/);
    expect(() => execute('throws', "throw new RangeError('on purpose');")).toThrow(/on purpose/);
  });
});
