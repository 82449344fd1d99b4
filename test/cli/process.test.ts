import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { lines } from './capture.ts';

const built = existsSync('dist/cli/main.js');
const murmur = (...argv: string[]) => spawnSync(process.execPath, ['bin/murmur.js', ...argv], { encoding: 'utf8' });

describe.skipIf(!built)('bin/murmur.js as a process (npm run build makes it)', () => {
  test('prints its version and ends with 0', () => {
    const { status, stdout, stderr } = murmur('--version');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test('a mistake is one line on stderr, exit code 2, and with --json the last line of stdout', () => {
    const { status, stdout, stderr } = murmur('nonsense', '--json');
    expect(status).toBe(2);
    expect(stderr).toMatch(/^murmur: CONFIG_INVALID: [^\n]*\n$/);
    expect(lines(stdout)).toMatchObject([{ event: 'done', error: { code: 'CONFIG_INVALID' } }]);
  });

  test('all of a long output arrives through a pipe', () => {
    const { status, stdout } = murmur('schema');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toHaveProperty('properties.model');
  });
});
