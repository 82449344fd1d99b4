/**
 * The command line: finds the verb, hands it its flags, and turns whatever happens into an exit code.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { Fault } from '../faults.ts';
import { COMMON, loggingOf, parseArgv } from './args.ts';
import { overview, verbHelp } from './help.ts';
import { propertiesOf } from './keys.ts';
import { logged, openLog } from './log-file.ts';
import { createOutput, exitCode, faultOf, type Streams } from './output.ts';
import { closest } from './suggest.ts';
import type { Verb } from './verb.ts';

interface Entry {
  readonly summary: string;
  /** Verbs bring their own imports, so that none waits for another's. */
  load(): Promise<Verb>;
}

export const VERBS: Readonly<Record<string, Entry>> = {
  demo: {
    summary: 'A run with five peers on this machine, one killed, one late; nothing to fetch.',
    load: () => import('./demo.ts'),
  },
  train: {
    summary: 'Fine-tune a model, alone or as the host of a run; prints a join link.',
    load: () => import('./train.ts'),
  },
  pretrain: {
    summary: 'Train a small model on text, from nothing or from another model.',
    load: () => import('./pretrain.ts'),
  },
  plan: {
    summary: 'Memory, time and bytes that a run will take on this machine.',
    load: () => import('./plan.ts'),
  },
  methods: { summary: 'List the methods a run can have, and what each sets.', load: () => import('./methods.ts') },
  sweep: { summary: 'Train with other values of any keys, and compare.', load: () => import('./sweep.ts') },
  bench: { summary: 'Compare methods at an equal budget.', load: () => import('./bench.ts') },
  join: { summary: 'Take part in a run.', load: () => import('./join.ts') },
  status: { summary: 'Show how a run stands, and each of its peers.', load: () => import('./status.ts') },
  doctor: { summary: 'Check this machine, and the way to a host.', load: () => import('./doctor.ts') },
  invite: { summary: 'Make an invite to a run, withdraw one, or list them.', load: () => import('./invite.ts') },
  key: { summary: 'Print the public key that this machine joins runs with.', load: () => import('./key.ts') },
  ui: { summary: 'Serve the page of a run that lies in a folder.', load: () => import('./ui.ts') },
  eval: { summary: 'Held-out loss and accuracy of a run, after any round.', load: () => import('./eval.ts') },
  generate: { summary: 'Continue a text with the weights of a run.', load: () => import('./generate.ts') },
  replay: { summary: 'Rebuild the model of a run from its base and its journal.', load: () => import('./replay.ts') },
  verify: { summary: 'Check a journal record by record, and the weights it gives.', load: () => import('./verify.ts') },
  inspect: { summary: 'Show what a journal holds.', load: () => import('./inspect.ts') },
  revoke: { summary: 'Take back all that a peer gave to a run.', load: () => import('./revoke.ts') },
  rewind: { summary: 'Take a run back to an earlier round.', load: () => import('./rewind.ts') },
  export: { summary: 'Write the trained model as a Hugging Face folder.', load: () => import('./export.ts') },
  tasks: { summary: 'List the named tasks, or print one as a file.', load: () => import('./tasks.ts') },
  schema: { summary: 'Print the JSON Schema of run files, or all fault codes.', load: () => import('./schema.ts') },
};

const version = (): string => {
  const { version: text } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return text;
};

/** @returns the exit code. */
export async function main(argv: readonly string[], streams: Streams): Promise<number> {
  const json = argv.some((word, i) => word === '--json' && argv[i + 1] !== 'false');
  let output = createOutput(json, streams);
  try {
    const [name = '--help', ...rest] = argv;
    if (name === '--help' || name === '-h' || name === 'help') {
      streams.stdout.write(overview(VERBS));
      return 0;
    }
    if (name === '--version' || name === '-V') {
      streams.stdout.write(`${version()}\n`);
      return 0;
    }
    const verb = await verbOf(name);
    const { words, flags } = parseArgv(rest, { ...COMMON, ...propertiesOf(verb.flags) });
    const { json: _, log_level: __, log_file: ___, help, ...own } = flags;
    if (help === true) {
      streams.stdout.write(verbHelp(verb));
      return 0;
    }
    const { level, file } = loggingOf({ words, flags });
    output = createOutput(json, streams, level);
    if (file !== undefined) output = logged(output, level ?? 'info', openLog(file), streams.date);
    output.done(await verb.run({ words, flags: own }, { output, env: streams.env }));
    return 0;
  } catch (error) {
    return output.fail(error);
  }
}

function verbOf(name: string): Promise<Verb> {
  const entry = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  if (entry) return entry.load();
  const near = closest(name, Object.keys(VERBS));
  const remedy = near ? `did you mean "${near}"?` : '"murmur --help" lists the verbs';
  throw new Fault('CONFIG_INVALID', `${name.startsWith('-') ? name : `"${name}"`}: not a verb; ${remedy}`);
}

const CLOCK = { now: () => performance.now(), date: () => new Date() };

/** Runs the command line of this process and ends it. */
export async function start(): Promise<void> {
  const { stdout, stderr, env } = process;
  // A reader that went away (`murmur schema | head`) is no fault.
  stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  const broken = (error: unknown): void => {
    const fault = faultOf(error);
    stderr.write(
      `murmur: ${fault.message}\n${env['MURMUR_DEBUG'] && error instanceof Error ? `${error.stack}\n` : ''}`,
    );
    if (process.argv.includes('--json')) {
      stdout.write(
        `${JSON.stringify({ event: 'done', error: { code: fault.code, message: fault.message.slice(fault.code.length + 2) } })}\n`,
      );
    }
    stdout.write('', () => process.exit(exitCode(fault)));
  };
  process.on('uncaughtException', broken);
  process.on('unhandledRejection', broken);
  const code = await main(process.argv.slice(2), { stdout, stderr, env, ...CLOCK });
  // Once what was said is out: pipes are written behind our back, and nothing left running may keep the process.
  stdout.write('', () => process.exit(code));
}
