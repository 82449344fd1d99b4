/** What the verbs make of a run that is over: one run, trained before the tests. */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readFolder } from '../model/folder.ts';
import { BUILT, type Ended, quillFlags, run } from './built.ts';
import { lines, murmur } from './capture.ts';

describe.skipIf(!BUILT)('a finished run (npm run build makes the command)', () => {
  let home = '';
  let trained: Ended;
  const at = (name: string) => join(home, name);
  const out = () => at('out');
  const cli = (...argv: string[]) => run(home, ...argv);
  /** A refusal: one line, not 0, and the last line of --json. */
  const refused = ({ code, done, stderr }: Ended): Record<string, string> => {
    expect(code).not.toBe(0);
    const { error } = done as { error: Record<string, string> };
    expect(stderr).toBe(`murmur: ${error['code']}: ${error['message']}\n`);
    return error;
  };

  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'murmur-past-'));
    const rows = readFileSync('assets/demo/dev.jsonl', 'utf8').split('\n');
    writeFileSync(at('train.jsonl'), rows.slice(0, 60).join('\n'));
    writeFileSync(at('held.jsonl'), rows.slice(60, 100).join('\n'));
    cpSync('assets/quill', at('model'), { recursive: true });
    const flags = quillFlags(at('train.jsonl'), at('held.jsonl'), out());
    trained = cli('train', ...flags, '--model', at('model'), '--peers', '2', '--save_steps', '2', '--eval_steps', '2');
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  test('the run is as it was ordered', () => {
    expect(trained).toMatchObject({ code: 0, stderr: '', done: { event: 'done', rounds: 4, records: 32 } });
    expect(trained.done).toMatchObject({
      'bytes/gradient': 1,
      'journal/bytes': statSync(join(out(), 'journal.murmur')).size,
    });
    for (const key of ['eval/loss_before', 'eval/loss', 'eval/accuracy', 'bytes/payload', 'bytes/wire', 'seconds'])
      expect(trained.done[key], key).toEqual(expect.any(Number));
  });

  test('replay gives the digest of the run, and writes the model', async () => {
    const { code, done } = cli('replay', out(), '--output_dir', at('again'));
    expect([code, done['digest'], done['rounds']]).toEqual([0, trained.done['digest'], 4]);
    const { model } = await readFolder(at('again'));
    expect(model.tensors.length).toBeGreaterThan(10);
    expect(cli('replay', join(out(), 'journal.murmur'), '--rounds', '2').done).toMatchObject({ rounds: 2 });
  });

  test('verify finds it valid; one flipped byte is named by its record', () => {
    expect(cli('verify', out()).done).toMatchObject({
      journal: 'valid',
      weights: 'equal',
      digest: trained.done['digest'],
    });
    const bytes = readFileSync(join(out(), 'journal.murmur'));
    bytes[bytes.length - 100]! ^= 4;
    writeFileSync(at('damaged.murmur'), bytes);
    expect(refused(cli('verify', at('damaged.murmur')))['message']).toMatch(/^record \d+ at byte \d+ /);
  });

  test('eval judges a model without a run as it judges the base of one; with demonstrations in another way', () => {
    const task = 'kind: choice\nprompt: "{text} It was"\nlabels: {0: " terrible", 1: " great"}\n';
    writeFileSync(at('task.yaml'), task);
    const alone = ['--model', 'assets/quill', '--task', at('task.yaml'), '--on', at('held.jsonl')];
    const { done } = cli('eval', ...alone);
    expect(done).toMatchObject({ task: at('task.yaml'), shots_in_context: 0 });
    // The number of threads is another one, hence the last bits of a loss.
    expect(done['eval/loss']).toBeCloseTo(trained.done['eval/loss_before'] as number, 5);
    expect(done['eval/accuracy']).toBe(trained.done['eval/accuracy_before']);
    const shown = cli('eval', ...alone, '--shots_in_context', '2', '--data', at('train.jsonl')).done;
    expect(shown['eval/loss']).toEqual(expect.any(Number));
    expect(shown['eval/loss']).not.toBe(done['eval/loss']);
  }, 60_000);

  test('eval without a run says what it lacks, and with one what it does not take', async () => {
    const said = async (...argv: string[]) => (await murmur('eval', ...argv)).err;
    const alone = ['--model', 'assets/quill', '--task', 'sst2', '--on', at('held.jsonl')];
    expect(await said('--model', 'assets/quill')).toMatch(/CONFIG_INVALID: eval: needs data to judge on; give --on$/m);
    expect(await said('--model', 'assets/quill', '--on', at('held.jsonl'), '--shots_in_context', '2')).toMatch(
      /--shots_in_context: is for tasks whose samples are rows; name one with --task/,
    );
    expect(await said(...alone, '--shots_in_context', '2', '--data', at('none.jsonl'))).toMatch(
      /FILE_MISSING: .*none.jsonl cannot be read; check the path of --data/,
    );
    expect(await said(out(), '--task', 'sst2')).toMatch(/--task: is for a model without a run; leave it out/);
  });

  test('eval judges the base and the result as the journal does', async () => {
    const journal = JSON.parse((await murmur('inspect', out(), '--json')).out.trim().split('\n').at(-1)!) as {
      evaluations: Record<string, Record<string, number>>;
    };
    expect(Object.keys(journal.evaluations)).toEqual(['0', '2', '4']);
    for (const rounds of ['0', '4']) {
      const { code, done } = cli('eval', out(), '--rounds', rounds);
      expect(code).toBe(0);
      // The number of threads may be another one, hence the last bits of a loss.
      expect(done['eval/loss']).toBeCloseTo(journal.evaluations[rounds]!['eval/loss']!, 6);
      expect(done['eval/accuracy']).toBe(journal.evaluations[rounds]!['eval/accuracy']);
    }
    const one = join(home, 'one.jsonl');
    writeFileSync(one, '{"text": "The plot was excellent.", "label": 1}\n');
    expect([0, 1]).toContain(cli('eval', out(), '--on', one).done['eval/accuracy']);
    expect(cli('eval', out(), '--max_eval_samples', '1').done['eval/accuracy']).toBeOneOf([0, 1]);
  });

  test('inspect tells what the journal holds', async () => {
    const { code, out: text } = await murmur('inspect', out(), '--records', '--json');
    const all = lines(text);
    expect(code).toBe(0);
    expect(all.filter(({ event }) => event === 'table').map(({ title }) => title)).toEqual([
      'Manifest',
      'Promises',
      'Peers',
      'Held out',
      'Records',
      'Journal',
    ]);
    expect(all.at(-1)).toMatchObject({
      event: 'done',
      rounds: 4,
      gradients: 32,
      'journal/bytes': trained.done['journal/bytes'],
      'journal/bytes_per_gradient': Number(trained.done['journal/bytes']) / 32,
      manifest: { format: 1, max_steps: 4, records_per_round: 8, data: { train: { path: 'train.jsonl' } } },
    });
    const records = all.find(({ title }) => title === 'Records')!['rows'] as string[][];
    expect(records[1]!.slice(0, 2)).toEqual(['0', '8']);
    expect(new Set(records.slice(1).map((row) => row[3]))).toEqual(
      new Set(['manifest', 'admit', 'evaluation', 'round', 'digest', 'standing']),
    );
    const people = await murmur('inspect', out());
    expect(people.out).toContain('Held out');
  });

  test('export writes a model that loads with the weights of the run, once', async () => {
    const { code, done } = cli('export', out(), '--output_dir', at('exported'), '--rounds', '0');
    expect([code, done['rounds']]).toEqual([0, 0]);
    const [base, exported] = [await readFolder(at('model')), await readFolder(at('exported'))];
    expect(exported.model.tensors).toEqual(base.model.tensors);
    for (const { name } of base.model.tensors) {
      const [w, from] = [exported.weight(name), base.weight(name)];
      const peak = from.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      expect(w.every((x, i) => Math.abs(x - from[i]!) <= peak * 2 ** -27)).toBe(true);
    }
    expect(readFileSync(join(at('exported'), 'tokenizer.json'))).toEqual(readFileSync('assets/quill/tokenizer.json'));
    const again = refused(cli('export', out(), '--output_dir', at('exported')));
    expect(again).toMatchObject({
      code: 'OUTPUT_EXISTS',
      message: expect.stringContaining('name a folder that does not'),
    });
    expect(refused(cli('replay', out(), '--output_dir', at('exported')))['code']).toBe('OUTPUT_EXISTS');
  });

  test('generate goes on with a text; the same seed gives the same', () => {
    const text = (...more: string[]) =>
      cli('generate', out(), '--prompt', 'The cast was', '--max_new_tokens', '6', ...more);
    const greedy = text();
    expect(greedy.code).toBe(0);
    expect(greedy.done['text']).toMatch(/^ \S/);
    const drawn = text('--temperature', '2', '--seed', '3').done['text'];
    expect(text('--temperature', '2', '--seed', '3').done['text']).toBe(drawn);
    const long = refused(text('--prompt', 'good '.repeat(600)));
    expect(long).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(/^--prompt: is \d+ tokens/) });
  });

  test('train again says what the run has become, and other settings are refused by name', () => {
    const flags = quillFlags(at('train.jsonl'), at('held.jsonl'), out());
    const common = [...flags, '--model', at('model'), '--peers', '2'];
    const before = readdirSync(out()).sort();
    expect(cli('train', ...common).done).toMatchObject({ digest: trained.done['digest'], rounds: 4 });
    const other = refused(cli('train', ...common, '--eps', '0.01'));
    expect(other).toMatchObject({ code: 'OUTPUT_EXISTS', message: expect.stringContaining('another eps') });
    // a key that only one of the two manifests has
    expect(refused(cli('train', ...common, '--tensor_mask', '1/2'))['message']).toContain('another tensor_mask');
    renameSync(join(out(), 'coordinator.key'), at('key'));
    expect(refused(cli('train', ...common))['message']).toContain('coordinator.key is missing');
    renameSync(at('key'), join(out(), 'coordinator.key'));
    expect(readdirSync(out()).sort()).toEqual(before);
  });

  describe('what is missing or wrong is named, with the remedy', () => {
    test.each([
      [['replay'], 'CONFIG_INVALID', /^replay: takes the output_dir of one run/],
      [['verify', 'a', 'b'], 'CONFIG_INVALID', /^verify: takes the output_dir of one run/],
      [['eval', 'no-such-run'], 'FILE_MISSING', /^no-such-run holds no journal/],
      [['eval', 'OUT', '--round', '1'], 'CONFIG_INVALID', /did you mean "--rounds"/],
      [['eval', 'OUT', '--rounds', '5'], 'CONFIG_INVALID', /^--rounds: takes at most 4/],
      [['eval', 'OUT', '--on', 'no-such-file'], 'FILE_MISSING', /^no-such-file is not there/],
      [['export', 'OUT'], 'CONFIG_INVALID', /output_dir is missing/],
      [['export', 'OUT', '--output_dir', 'assets'], 'OUTPUT_EXISTS', /^assets exists/],
      [['generate', 'OUT'], 'CONFIG_INVALID', /prompt is missing/],
      [['inspect', 'assets'], 'FILE_MISSING', /holds no journal/],
      [['join', 'http://127.0.0.1:1/nothing'], 'CONFIG_INVALID', /./],
    ] as const)('%j', async (argv, code, message) => {
      const { code: exit, err } = await murmur(...argv.map((word) => (word === 'OUT' ? out() : word)), '--json');
      expect(exit).not.toBe(0);
      expect(err).toMatch(new RegExp(`^murmur: ${code}: `));
      expect(err.slice(`murmur: ${code}: `.length)).toMatch(message);
    });

    test('a base that was moved, and data that has changed', () => {
      renameSync(at('model'), at('moved'));
      try {
        const lost = refused(cli('replay', out()));
        expect(lost).toMatchObject({
          code: 'FILE_MISSING',
          message: expect.stringMatching(/^config\.json of the base "model".*--model$/),
        });
        expect(cli('replay', out(), '--model', at('moved')).done['digest']).toBe(trained.done['digest']);
        const unseen = cli('verify', out());
        expect(unseen.done).toMatchObject({ journal: 'valid', weights: 'not compared' });
      } finally {
        renameSync(at('moved'), at('model'));
      }
      const text = readFileSync(at('held.jsonl'), 'utf8');
      writeFileSync(at('held.jsonl'), `${text}\n`);
      writeFileSync(at('copy.jsonl'), text);
      try {
        const changed = refused(cli('eval', out()));
        expect(changed).toMatchObject({
          code: 'FILE_MISSING',
          message: expect.stringMatching(/^held\.jsonl.*has changed.*--eval_data$/),
        });
        expect(cli('replay', out()).done['digest']).toBe(trained.done['digest']);
        expect(cli('eval', out(), '--eval_data', at('copy.jsonl')).code).toBe(0);
      } finally {
        writeFileSync(at('held.jsonl'), text);
      }
    });
  });

  test('nothing half written is left anywhere', () => {
    const left = readdirSync(home, { recursive: true }).map(String);
    expect(left.filter((name) => /\.part$|\.lock$/.test(name))).toEqual([]);
    expect(existsSync(at('out/peers'))).toBe(true);
  });
});
