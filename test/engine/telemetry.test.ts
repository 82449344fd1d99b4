import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const engine = new URL('../../dist/engine/node.js', import.meta.url);

// Where it is on, the library keeps a device id and a queue of events below the cache or home folder.
test.skipIf(!existsSync(fileURLToPath(engine)))('the engine leaves nothing behind for telemetry (needs dist/)', () => {
  const home = mkdtempSync(join(tmpdir(), 'murmur-home-'));
  const { CI: _, ORT_DISABLE_TELEMETRY: __, ...env } = process.env;
  const program = `
    const { nodeEngine } = await import(${JSON.stringify(engine.href)});
    const x = { name: 'x', dtype: 'f32', shape: [1] };
    const y = { ...x, name: 'y' };
    const graph = { name: 'p', inputs: [x], constants: [], outputs: [y] };
    const nodes = [{ op: { op: 'relu' }, inputs: ['x'], output: y }];
    await nodeEngine({ threads: 1 }).compile({ ...graph, nodes });`;
  try {
    execFileSync(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...env, HOME: home, XDG_CACHE_HOME: join(home, 'cache') },
    });
    expect(readdirSync(home, { recursive: true })).toEqual([]);
  } finally {
    rmSync(home, { recursive: true });
  }
});
