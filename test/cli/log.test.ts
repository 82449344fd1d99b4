/** How much is said, and the log. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LEVELS, type Level, levelOf, reaches } from '../../src/cli/levels.ts';
import { logged, openLog } from '../../src/cli/log-file.ts';
import { createOutput, type Output } from '../../src/cli/output.ts';
import { Fault } from '../../src/faults.ts';
import { capture, lines, murmur } from './capture.ts';

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** One event of each level but error, which is an end. */
function tellAll(output: Output): void {
  output.event({ event: 'phase', phase: 'waiting' });
  output.event({ event: 'evaluation', round: 3, metrics: { 'eval/loss': 2 } });
  output.note('by the way');
  output.event({ event: 'refused', code: 'SIGNATURE_WRONG', detail: 'no', times: 12 });
  output.event({ event: 'evicted', slot: 3, code: 'DRIFT', reason: 'DRIFT' });
}

test.each([
  ['refused', { code: 'SIGNATURE_WRONG' }, 'warn'],
  ['refused', { code: 'CONTRIBUTION_STALE' }, 'info'],
  ['evicted', {}, 'warn'],
  ['measured', {}, 'debug'],
  ['round', {}, 'info'],
  ['toString', {}, 'info'],
  ['done', { error: { code: 'DRIFT' } }, 'error'],
  ['done', { digest: 'ab' }, 'info'],
])('%s %j is %s', (event, fields, level) => expect(levelOf({ event, ...fields })).toBe(level));

test('a level lets through what is as urgent, or more', () => {
  const through = (asked: Level): Level[] => LEVELS.filter((level) => reaches(level, asked));
  expect(LEVELS.map(through)).toEqual([['error'], ['error', 'warn'], ['error', 'warn', 'info'], [...LEVELS]]);
});

describe('--log_level', () => {
  test.each<[Level | undefined, string[]]>([
    ['error', []],
    ['warn', ['refused', 'evicted']],
    ['info', ['evaluation', 'note', 'refused', 'evicted']],
    [undefined, ['phase', 'evaluation', 'note', 'refused', 'evicted']],
  ])('%s, to programs', (level, expected) => {
    const streams = capture();
    tellAll(createOutput(true, streams, level));
    expect(streams.out() === '' ? [] : lines(streams.out()).map(({ event }) => event)).toEqual(expected);
  });

  test.each<[Level | undefined, string]>([
    ['error', ''],
    ['warn', '! refused a connection (12 times): SIGNATURE_WRONG: no\n! peer 3 is excluded for good: DRIFT\n'],
    ['debug', 'phase phase=waiting\nround 3   loss 2\n! refused'],
    [undefined, 'round 3   loss 2\n! refused'],
  ])('%s, to people', (level, expected) => {
    const streams = capture();
    tellAll(createOutput(false, streams, level));
    if (level === 'error' || level === 'warn') expect(streams.out() + streams.err()).toBe(expected);
    else expect(streams.out().startsWith(expected)).toBe(true);
  });

  test('results and failures are always said', () => {
    const streams = capture();
    const output = createOutput(false, streams, 'error');
    output.table('t', [['a'], ['1']]);
    output.done({ rounds: 3 });
    output.fail(new Fault('DRIFT', 'weights differ'));
    expect(streams.out()).toContain('rounds  3');
    expect(streams.err()).toBe('murmur: DRIFT: weights differ\n');
  });

  test('another word is refused', async () => {
    expect((await murmur('methods', '--log_level', 'loud')).err).toBe(
      'murmur: CONFIG_INVALID: --log_level: takes one of error, warn, info, debug, got "loud"\n',
    );
  });
});

describe('--log_file', () => {
  test('has what happens as JSON, time and level first, and is added to', async () => {
    const path = join(scratch(), 'deep', 'run.log');
    for (const more of [[], ['zebra']]) await murmur('schema', ...more, '--log_file', path);
    const log = lines(readFileSync(path, 'utf8'));
    expect(log.map((line) => Object.keys(line).slice(0, 3))).toEqual(log.map(() => ['time', 'level', 'event']));
    expect(log).toMatchObject([
      { level: 'info', event: 'done', schema: { title: 'Murmur run file' } },
      { level: 'error', event: 'done', error: { code: 'CONFIG_INVALID' } },
    ]);
  });

  test('takes no more than its level, and shows no less', () => {
    const path = join(scratch(), 'run.log');
    const streams = capture();
    tellAll(logged(createOutput(true, streams), 'warn', openLog(path), streams.date));
    expect(lines(readFileSync(path, 'utf8'))).toEqual([
      {
        ...{ time: '2026-01-01T00:00:00.000Z', level: 'warn' },
        event: 'refused',
        code: 'SIGNATURE_WRONG',
        detail: 'no',
        times: 12,
      },
      {
        ...{ time: '2026-01-01T00:00:00.000Z', level: 'warn' },
        event: 'evicted',
        slot: 3,
        code: 'DRIFT',
        reason: 'DRIFT',
      },
    ]);
    expect(lines(streams.out())).toHaveLength(5);
  });

  test('a place that is none is refused; a disk that fills up is a warning, once', async () => {
    expect((await murmur('schema', '--log_file', 'package.json/log')).err).toMatch(/^murmur: FILE_REFUSED: /);
    const streams = capture();
    const full = (): never => {
      throw Object.assign(new TypeError('full'), { code: 'ENOSPC' });
    };
    tellAll(logged(createOutput(true, streams), 'info', full, streams.date));
    expect(lines(streams.out()).filter(({ event }) => event === 'warning')).toMatchObject([
      { message: 'the log does not fit on the disk; make room, and repeat the command; nothing is logged any more' },
    ]);
  });
});
