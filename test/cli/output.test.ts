import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bar,
  chart,
  columns,
  formatBytes,
  formatNumber,
  formatSeconds,
  painter,
  sparkline,
  truncate,
  visible,
} from '../../src/cli/format.ts';
import { createOutput } from '../../src/cli/output.ts';
import { Fault } from '../../src/faults.ts';
import { capture, lines } from './capture.ts';

const ROUND = { event: 'round', round: 3, max_steps: 10, peers: 4, records: 64, 'bytes/wire': 12_345, eta_s: 65 };
/** Of what happens at the beginning. */
const AT = { level: 'info', time: '2026-01-01T00:00:00.000Z' };
const EVALUATION = { event: 'evaluation', round: 3, metrics: { 'eval/loss': 3.91234, 'eval/accuracy': 0.94 } };

describe('--json', () => {
  test('is one object a line, metrics spread, the last event "done"', () => {
    const streams = capture();
    const output = createOutput(true, streams);
    output.event(ROUND);
    output.event(EVALUATION);
    output.table('t', [['a'], ['1']]);
    output.note('n');
    output.text('not this');
    output.done({ digest: 'ab', event: 'not this' });
    expect(streams.err()).toBe('');
    expect(lines(streams.out())).toEqual([
      { ...ROUND, ...AT },
      { event: 'evaluation', round: 3, 'eval/loss': 3.91234, 'eval/accuracy': 0.94, ...AT },
      { event: 'table', title: 't', rows: [['a'], ['1']] },
      { event: 'note', message: 'n', ...AT },
      { event: 'done', digest: 'ab' },
    ]);
  });

  test('progress comes at most once a second for each task, and always at its end', () => {
    const streams = capture();
    const output = createOutput(true, streams);
    for (let done = 0; done <= 100; done++, streams.pass(25)) output.progress({ task: 'a', done, total: 100 });
    expect(lines(streams.out()).map(({ done }) => done)).toEqual([0, 40, 80, 100]);
  });

  test.each([
    [new Fault('DATA_INVALID', 'x.csv:3: bad'), 1, 'DATA_INVALID', 'x.csv:3: bad'],
    [new Fault('CONFIG_INVALID', 'no'), 2, 'CONFIG_INVALID', 'no'],
    [new Fault('INTERRUPTED', 'stopped'), 130, 'INTERRUPTED', 'stopped'],
    [new TypeError('x is not\na function'), 1, 'INTERNAL', /^TypeError: x is not; set MURMUR_DEBUG=1/],
    ['a string', 1, 'INTERNAL', /^a string; set/],
  ])('a failure is "done" with a code: %s', (error, exit, code, message) => {
    const streams = capture();
    expect(createOutput(true, streams).fail(error)).toBe(exit);
    const [last, ...more] = lines(streams.out());
    expect(more).toEqual([]);
    expect(last).toMatchObject({ event: 'done', error: { code } });
    const text = (last!['error'] as { message: string }).message;
    if (typeof message === 'string') expect(text).toBe(message);
    else expect(text).toMatch(message);
    expect(streams.err()).toBe(`murmur: ${code}: ${text}\n`);
  });

  test('a stack only with MURMUR_DEBUG', () => {
    const streams = capture({ env: { MURMUR_DEBUG: '1' } });
    createOutput(true, streams).fail(new TypeError('deep'));
    expect(streams.err()).toMatch(/output\.test\.ts/);
  });
});

describe('plain lines', () => {
  test('news each time, rounds now and then, nothing that moves a cursor', () => {
    const streams = capture();
    const output = createOutput(false, streams);
    output.event({ event: 'peer', slot: 2, name: 'kiwi', state: 'ready' });
    output.event(ROUND);
    output.event({ ...ROUND, round: 4 });
    streams.pass(6_000);
    output.event({ ...ROUND, round: 5 });
    output.event(EVALUATION);
    output.event({ event: 'peer', slot: 2, name: 'kiwi', state: 'gone' });
    output.event({ event: 'refused', code: 'SIGNATURE_WRONG', detail: 'no' });
    output.event({ event: 'threads', workers: 2, threads: 1 });
    output.event({ event: 'new-thing', a: 1, b: { c: 2 } });
    output.done({ 'eval/loss': 3.5, 'journal/bytes': 4096, digest: 'ab', nested: {} });
    expect(streams.out().split('\n')).toEqual(
      [
        '+ kiwi (slot 2) ready',
        'round 3/10   64 records   4 peers   12.3 kB   1:05 left',
        'round 5/10   64 records   4 peers   12.3 kB   1:05 left',
        'round 3   loss 3.912   accuracy 0.94   ',
        '- kiwi (slot 2) gone',
        '! refused a connection: SIGNATURE_WRONG: no',
        'threads: 2 workers x 1',
        'new-thing a=1 b={"c":2}',
        'eval/loss      3.5',
        'journal/bytes  4.10 kB',
        'digest         ab',
        '',
      ].map((line) => line.trimEnd()),
    );
  });

  test('what a peer says cannot steer the terminal', () => {
    const streams = capture({ tty: true });
    createOutput(false, streams).event({ event: 'peer', slot: 1, name: '\x1b[2Jboo\n\x9b', state: 'ready' });
    expect(streams.out()).not.toMatch('\x1b[2J');
    expect(streams.out()).toMatch('\\x1b[2Jboo\\x0a\\x9b');
  });

  test('after text nothing else is printed', () => {
    const streams = capture();
    const output = createOutput(false, streams);
    output.text('{}\n');
    output.done({ a: 1 });
    expect(streams.out()).toBe('{}\n');
  });
});

describe('a terminal', () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
  const MOVES = /(\x1b\[\d+A|\x1b\[J|\r|\n)/;
  /** What is left on the screen: erases are obeyed. */
  function screen(written: string): string[] {
    const rows = [''];
    let row = 0;
    for (const part of written.split(MOVES)) {
      if (part.endsWith('A') && part.startsWith('\x1b')) row -= Number.parseInt(part.slice(2), 10);
      else if (part === '\x1b[J') rows.length = row + 1;
      else if (part === '\r') rows[row] = '';
      else if (part === '\n') rows[++row] ??= '';
      else rows[row] += part;
    }
    return rows;
  }

  test('shows the status below the news, redrawn in place, at most 12 times a second', () => {
    const streams = capture({ tty: true, env: { NO_COLOR: '1' } });
    const output = createOutput(false, streams);
    output.event({ event: 'evaluation', round: 0, 'eval/loss': 4.5 });
    for (let round = 1; round <= 5; round++, streams.pass(40)) output.event({ ...ROUND, round });
    output.event({ event: 'evaluation', round: 5, 'eval/loss': 3.9 });
    output.event({ event: 'peer', slot: 2, name: 'kiwi', state: 'evicted', reason: 'late' });
    expect(screen(streams.out())).toEqual([
      'round 0   loss 4.5',
      'round 5   loss 3.9',
      '! kiwi (slot 2) evicted: late',
      `round 5/10   ${bar(0.5, 28)}   50 %   1:05 left`,
      'loss 3.9   █▁   4 peers   12.3 kB',
    ]);
    output.done({ rounds: 10 });
    expect(screen(streams.out()).slice(-2)).toEqual(['rounds  10', '']);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: looking for colours
    expect(streams.out()).not.toMatch(/\x1b\[\d*m/);
  });

  test('progress is one line that moves, and stays when it is over', () => {
    const streams = capture({ tty: true, env: { NO_COLOR: '1' } });
    const output = createOutput(false, streams);
    for (const done of [0, 5e5, 1e6]) {
      output.progress({ task: 'downloading x', done, total: 1e6, unit: 'B' });
      streams.pass(100);
    }
    expect(screen(streams.out())).toEqual([`downloading x  ${bar(1, 20)}  1.00 MB of 1.00 MB`, '']);
    expect(streams.out()).toContain(`downloading x  ${bar(0.5, 20)}  500 kB of 1.00 MB`);
  });

  test('cuts lines to its width, and a fault stays below the last status', () => {
    const streams = capture({ tty: true, columns: 20 });
    const output = createOutput(false, streams);
    output.event(ROUND);
    output.fail(new Fault('DRIFT', 'weights differ'));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours take no room
    const widths = screen(streams.out()).map((line) => line.replace(/\x1b\[\d*m/g, '').length);
    expect(Math.max(...widths)).toBe(19);
    expect(streams.err()).toBe('murmur: DRIFT: weights differ\n');
    expect(streams.out().endsWith('\n')).toBe(true);
  });

  test('a dumb one gets plain lines', () => {
    const streams = capture({ tty: true, env: { TERM: 'dumb' } });
    createOutput(false, streams).event(EVALUATION);
    expect(streams.out()).toBe('round 3   loss 3.912   accuracy 0.94\n');
  });
});

describe('numbers as people read them', () => {
  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.00 kB'],
    [12_345, '12.3 kB'],
    [999_600, '1.00 MB'],
    [5e15, '5.00e+3 TB'],
  ])('%d bytes: %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  test.each([
    [0.4, '0:00'],
    [59.6, '1:00'],
    [65, '1:05'],
    [3725, '1:02:05'],
    [-1, '0:00'],
  ])('%d seconds: %s', (seconds, text) => expect(formatSeconds(seconds)).toBe(text));

  test('others to four digits', () =>
    expect([3.91234, 400, 0.00012346].map(formatNumber)).toEqual(['3.912', '400', '0.0001235']));

  test('a chart falls from its highest value to its lowest, which still shows', () => {
    expect(chart([0.69, 0.5, 0.31], 2)).toEqual(['   0.69 ███ ▁▁▁    ', '   0.31 ███ ███ ▁▁▁']);
    expect(chart([2, 2], 1)).toEqual(['      2 ▁▁▁ ▁▁▁']);
  });

  test('a sparkline is the last values between their lowest and highest', () => {
    expect(sparkline([9, 1, 2, 8], 3)).toBe('▁▂█');
    expect(sparkline([5, 5], 3)).toBe('▁▁');
    expect(sparkline([1, Number.NaN, 2], 3)).toBe('▁ █');
    expect(sparkline([], 3)).toBe('');
  });

  test('a bar has its width, whatever the part', () => {
    fc.assert(fc.property(fc.double({ noNaN: true }), fc.nat(40), (part, width) => bar(part, width).length === width));
  });

  test('styles take no room when a line is cut', () => {
    const red = painter(true)('red', 'abcdef');
    expect([truncate(red, 6), truncate(red, 4), truncate('abcdef', 4)]).toEqual([red, '\x1b[31mabc\x1b[0m…', 'abc…']);
  });

  test('tables align numbers to the right', () => {
    expect(
      columns([
        ['peer', 'bytes'],
        ['kiwi', '9 B'],
        ['emu', '12.3 kB'],
      ]),
    ).toEqual(['peer    bytes', 'kiwi      9 B', 'emu   12.3 kB']);
  });

  test('control characters are made visible', () => expect(visible('a\x07\n')).toBe('a\\x07\\x0a'));
});
