/** A run that cannot begin leaves nothing behind: no folder, no key, no journal. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BUILT, quillFlags, run } from './built.ts';

const INT8 = ['--forward_precision', 'int8'];

describe.skipIf(!BUILT)('train (npm run build makes the command)', () => {
  let home = '';
  let server: Server;
  const at = (name: string) => join(home, name);

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'murmur-refusals-'));
    const rows = readFileSync('assets/demo/dev.jsonl', 'utf8').split('\n');
    writeFileSync(at('train.jsonl'), rows.slice(0, 20).join('\n'));
    writeFileSync(at('held.jsonl'), rows.slice(20, 30).join('\n'));
    writeFileSync(at('torn.jsonl'), `${rows.slice(0, 3).join('\n')}\n{"text": "half`);
    writeFileSync(at('file'), '');

    cpSync('assets/quill', at('stranger'), { recursive: true });
    const tokenizer = JSON.parse(readFileSync('assets/quill/tokenizer.json', 'utf8')) as {
      model: { vocab: Record<string, number> };
    };
    tokenizer.model.vocab['zzz'] = 99_999;
    writeFileSync(join(at('stranger'), 'tokenizer.json'), JSON.stringify(tokenizer));

    mkdirSync(at('weightless'));
    for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
      cpSync(`assets/quill/${name}`, join(at('weightless'), name));

    server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
  });
  afterAll(() => {
    server.close();
    rmSync(home, { recursive: true, force: true });
  });

  const port = (): string => String((server.address() as { port: number }).port);

  test.each<[string, () => string[], string, RegExp]>([
    ['a label word of several tokens', () => ['--labels', '0= excruciating,1= great'], 'LABEL_WORD', /excruciating/],
    ['a label that the words do not name', () => ['--labels', '0= terrible,2= great'], 'DATA_INVALID', /label "1"/],
    ['no such model', () => ['--model', at('none')], 'FILE_MISSING', /neither a folder here nor a Hub id/],
    ['a model without weights', () => ['--model', at('weightless')], 'MODEL_UNSUPPORTED', /has no model.safetensors/],
    ['a tokenizer of another model', () => ['--model', at('stranger')], 'TOKENIZER_MISMATCH', /99999/],
    ['no such data', () => ['--data', at('none.jsonl')], 'FILE_MISSING', /none\.jsonl is not there/],
    ['data that break off', () => ['--data', at('torn.jsonl')], 'DATA_INVALID', /torn\.jsonl:4/],
    ['a column that is not there', () => ['--prompt', '{review} It was'], 'DATA_INVALID', /no column "review"/],
    ['a folder that is a file', () => ['--output_dir', at('file')], 'OUTPUT_EXISTS', /file is a file/],
    ['a folder below a file', () => ['--output_dir', at('file/deeper')], 'FILE_REFUSED', /is no path here/],
    ['a port that is taken', () => ['--port', port()], 'CONFIG_INVALID', /port/],
    [
      'bytes of dense directions',
      () => [...INT8, '--direction', 'rademacher'],
      'CONFIG_INVALID',
      /--forward_precision/,
    ],
    [
      'bytes at an eps they drown',
      () => [...INT8, '--eps', '1e-4'],
      'PRECISION_LOW',
      /raise eps to 0\.0\d+, or take f32$/,
    ],
    ['no such key', () => ['--learningrate', '1'], 'CONFIG_INVALID', /did you mean "--learning_rate"/],
  ])('%s', (_, more, code, message) => {
    const before = readdirSync(home, { recursive: true }).sort();
    const flags = quillFlags(at('train.jsonl'), at('held.jsonl'), join(home, 'deep', 'out'));
    const { code: exit, done, stderr } = run(home, 'train', ...flags, ...more());
    expect(stderr).toMatch(new RegExp(`^murmur: ${code}: [^\\n]*\\n$`));
    expect(done['error']).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(exit).toBe(code === 'CONFIG_INVALID' ? 2 : 1);
    expect(readdirSync(home, { recursive: true }).sort()).toEqual(before);
  });
});
