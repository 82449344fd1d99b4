/** What a run leaves to look at: metrics.jsonl, and event files that TensorBoard reads. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { scalars } from '../../src/cli/event-file.ts';
import { createOutput } from '../../src/cli/output.ts';
import { continued, numbersOf, RUNS_FOLDER, recording, scribe } from '../../src/cli/scribe.ts';
import type { Manifest } from '../../src/nouns.ts';
import { goldenEvents } from '../golden/tensorboard/make.ts';
import { MANIFEST } from '../peer/fake.ts';
import { capture, lines } from './capture.ts';

const GOLDEN = readFileSync('test/golden/tensorboard/events.out.tfevents.golden');

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Records of an event file, by their lengths. */
function recordsOf(bytes: Uint8Array): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
    records.push(bytes.subarray(at + 12, at + 12 + length));
    at += 12 + length + 4;
  }
  return records;
}

describe('event files', () => {
  test('have the bytes of the file that TensorBoard has read', () => {
    expect(Buffer.from(goldenEvents())).toEqual(GOLDEN);
  });

  test('hold each record at its length, whatever the tags', () => {
    const values = fc.dictionary(fc.string({ unit: 'binary', maxLength: 40 }), fc.float());
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), values), { maxLength: 8 }), (events) => {
        const written = events.map(([step, some]) => scalars(1, step, some));
        expect(recordsOf(Buffer.concat(written))).toHaveLength(events.length);
      }),
    );
  });
});

test('numbers of an event by tag: those of a round, and those that are called the same everywhere', () => {
  const round = { event: 'round', round: 3, max_steps: 9, records: 8, ms: 5, eta_s: 2, 'bytes/wire': 70 };
  expect(numbersOf(round)).toEqual({ 'train/records': 8, 'train/ms': 5, 'bytes/wire': 70 });
  const alone = { event: 'round', round: 1, loss: 2, grad_norm: 1, learning_rate: 0.5, ms: 1 };
  expect(Object.keys(numbersOf(alone)!).sort()).toEqual([
    ...['train/grad_norm', 'train/learning_rate', 'train/loss', 'train/ms'],
  ]);
  expect(numbersOf({ event: 'merge', round: 1, steps: 50, peers: 2 })).toEqual({ 'train/steps': 50, 'train/peers': 2 });
  expect(numbersOf({ event: 'evaluation', round: 3, metrics: { 'eval/loss': 1 } })).toEqual({ 'eval/loss': 1 });
  for (const event of ['peer', 'toString']) expect(numbersOf({ event, round: 1, records: 2 })).toBeUndefined();
});

describe('metrics.jsonl', () => {
  const line = (round: number, more: object): string => `${JSON.stringify({ step: round, round, ...more })}\n`;

  test('goes on where the run does: half lines, what is not committed and what is no metric go; evaluations come back', () => {
    const written = `${line(0, { 'eval/loss': 2 })}${line(1, { 'train/records': 4 })}${line(3, { 'train/records': 4 })}{"ro`;
    const journal = line(0, { 'eval/loss': 2 }) + line(2, { 'eval/loss': 1.5 });
    const expected = line(0, { 'eval/loss': 2 }) + line(1, { 'train/records': 4 }) + line(2, { 'eval/loss': 1.5 });
    expect(continued(written, 2, journal)).toBe(expected);
    expect(continued(expected, 2, journal)).toBe(expected);
    expect(continued('', 2, journal)).toBe(journal);
    expect(continued('[1]\nnull\n"x"\n{}\n', 2, '')).toBe('');
  });

  test('hears what came before it was opened; a run that goes on adds to the same folder of TensorBoard', () => {
    const folder = scratch();
    let time = Date.UTC(2026, 0, 2, 3, 4, 5);
    const open = () =>
      scribe({ folder, manifest: MANIFEST, reportTo: 'tensorboard', now: () => new Date((time += 1000)) });
    const first = open();
    first.hear({ event: 'evaluation', round: 0, metrics: { 'eval/loss': 2 } });
    first.begin(0);
    first.hear({ event: 'round', round: 1, records: 4 });
    first.hear({ event: 'phase', phase: 'waiting' });
    const second = open();
    second.begin(1);
    second.hear({ event: 'round', round: 2, records: 4 });
    open().begin(2); // and has nothing to add
    const text = readFileSync(join(folder, 'metrics.jsonl'), 'utf8');
    expect(lines(text)).toEqual([
      { step: 0, round: 0, 'eval/loss': 2, time: expect.stringMatching(/^2026-01-02T03:04:\d\d\.000Z$/) },
      { step: 1, round: 1, 'train/records': 4, time: expect.any(String) },
      { step: 2, round: 2, 'train/records': 4, time: expect.any(String) },
    ]);
    const runs = readdirSync(join(folder, RUNS_FOLDER));
    expect(runs).toEqual([expect.stringMatching(/^2026-01-02_03-04-\d\d_./)]);
    const files = readdirSync(join(folder, RUNS_FOLDER, runs[0]!));
    expect(files).toHaveLength(2);
    const counts = files.map((name) => recordsOf(readFileSync(join(folder, RUNS_FOLDER, runs[0]!, name))).length);
    expect(counts, 'version and two; version, restart and one').toEqual([3, 3]);
  });

  test('of a run that merges twice a step, TensorBoard counts rounds: its steps are whole', () => {
    const folder = scratch();
    const manifest = { ...MANIFEST, exchange: { kind: 'acco' } as NonNullable<Manifest['exchange']> };
    const half = scribe({ folder, manifest, reportTo: 'tensorboard', now: () => new Date(0) });
    half.begin(0);
    for (const round of [1, 2]) half.hear({ event: 'merge', round, steps: 4 });
    expect(lines(readFileSync(join(folder, 'metrics.jsonl'), 'utf8'))).toMatchObject([{ step: 0.5 }, { step: 1 }]);
    const [run] = readdirSync(join(folder, RUNS_FOLDER));
    const [name] = readdirSync(join(folder, RUNS_FOLDER, run!));
    expect(recordsOf(readFileSync(join(folder, RUNS_FOLDER, run!, name!)))).toHaveLength(3);
  });

  test('report_to none leaves no runs/', () => {
    const folder = scratch();
    const quiet = scribe({ folder, manifest: MANIFEST, reportTo: 'none', now: () => new Date(0) });
    quiet.begin(0);
    quiet.hear({ event: 'round', round: 1, records: 4 });
    expect(readdirSync(folder)).toEqual(['metrics.jsonl']);
  });

  test('a disk that refuses is a warning, once; the run goes on', () => {
    const streams = capture();
    const refusing = {
      begin: () => undefined,
      hear: () => {
        throw Object.assign(new TypeError('full'), { code: 'ENOSPC', path: 'metrics.jsonl' });
      },
    };
    const output = recording(createOutput(true, streams), refusing);
    for (const round of [1, 2]) output.event({ event: 'round', round });
    expect(lines(streams.out()).map(({ event }) => event)).toEqual(['round', 'warning', 'round']);
  });
});
