import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { jsonSchema, keys } from '../../src/cli/keys.ts';
import { VERBS } from '../../src/cli/main.ts';
import { printed } from '../../src/cli/schema.ts';
import { FAULTS } from '../../src/faults.ts';
import { lines, murmur } from './capture.ts';

describe('the command line', () => {
  test('--help lists every verb, --version the version', async () => {
    const { code, out } = await murmur('--help');
    expect(code).toBe(0);
    for (const verb of Object.keys(VERBS)) expect(out).toMatch(new RegExp(`^  ${verb} +\\w`, 'm'));
    expect((await murmur()).out).toBe(out);
    expect((await murmur('-V')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test.each(Object.keys(VERBS))('%s --help says what it takes', async (name) => {
    const { code, out, err } = await murmur(name, '--help');
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(new RegExp(`^Usage: murmur ${name}\\b`));
    expect(out).toMatch(/^ {2}--json/m);
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
  });

  test.each([
    [['scheme'], 'murmur: CONFIG_INVALID: "scheme": not a verb; did you mean "schema"?\n'],
    [['zebra'], 'murmur: CONFIG_INVALID: "zebra": not a verb; "murmur --help" lists the verbs\n'],
    [['constructor'], 'murmur: CONFIG_INVALID: "constructor": not a verb; "murmur --help" lists the verbs\n'],
    [['schema', '--eps', '1'], 'murmur: CONFIG_INVALID: --eps: unknown; "murmur schema" lists the keys\n'],
    [['schema', 'runs'], 'murmur: CONFIG_INVALID: schema: takes one of run, faults\n'],
    [['schema', 'run', 'faults'], 'murmur: CONFIG_INVALID: schema: takes one of run, faults\n'],
  ])('%j is a fault of one line, and exit code 2', async (argv, expected) => {
    const { code, out, err } = await murmur(...argv);
    expect([code, out, err]).toEqual([2, '', expected]);
  });

  test('with --json a failure is the last event too', async () => {
    const { code, out } = await murmur('zebra', '--json');
    expect(code).toBe(2);
    expect(lines(out).at(-1)).toEqual({
      event: 'done',
      error: { code: 'CONFIG_INVALID', message: '"zebra": not a verb; "murmur --help" lists the verbs' },
    });
  });
});

describe('murmur schema', () => {
  test('schema/murmur.schema.json is what it prints', async () => {
    const { code, out } = await murmur('schema');
    expect(code).toBe(0);
    expect(out).toBe(printed(jsonSchema()));
    expect(readFileSync('schema/murmur.schema.json', 'utf8')).toBe(out);
  });

  test('it describes every key, and refuses others', () => {
    const schema = jsonSchema() as { properties: Record<string, { description?: string }>; required: string[] };
    expect(Object.keys(schema.properties)).toEqual(Object.keys(keys));
    for (const { description } of Object.values(schema.properties)) expect(description).toMatch(/\.$/);
    expect(schema).toMatchObject({ additionalProperties: false, required: ['model'] });
  });

  test('faults: every code', async () => {
    expect(JSON.parse((await murmur('schema', 'faults')).out)).toEqual(FAULTS);
  });

  test('with --json it is one line', async () => {
    expect(lines((await murmur('schema', '--json')).out)).toEqual([{ event: 'done', schema: jsonSchema() }]);
  });
});
