import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { murmur } from './capture.ts';

test('murmur ui refuses what is no run, by name', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-ui-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  expect((await murmur('ui')).err).toContain('CONFIG_INVALID: ui: takes the output_dir of one run');
  expect((await murmur('ui', folder)).err).toContain(`FILE_MISSING: ${folder} holds no journal.murmur`);
  writeFileSync(join(folder, 'journal.murmur'), 'something else');
  expect((await murmur('ui', folder)).err).toContain('JOURNAL_FOREIGN');
});
