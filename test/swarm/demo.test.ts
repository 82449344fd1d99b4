/** The first thing that anybody runs, as it is. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { murmur, temporaryFolder } from './processes.ts';
import { RUNNABLE } from './run.ts';

describe.skipIf(!RUNNABLE)('murmur demo (npm run build makes it)', () => {
  test('five peers, one late and one killed, learn the task; weights end equal and are rebuilt', {
    timeout: 300_000,
  }, async () => {
    const demo = murmur(['demo', '--output_dir', join(temporaryFolder(), 'run')]);
    const { code, done } = await demo.exit(240_000);
    expect(code).toBe(0);
    expect(done).toMatchObject({ rounds: 60, 'bytes/gradient': 1, 'digest/rebuilt': done?.['digest'] });
    // About chance before.
    expect(done?.['eval/accuracy_before']).toBeLessThan(0.6);
    expect(done?.['eval/accuracy']).toBeGreaterThanOrEqual(0.93);
    // The host's own weights, and those of the four peers that live to the end.
    expect(done?.['digests/equal']).toBe(5);
    expect(done?.['journal/bytes']).toBeLessThan(25_000);

    const said = demo.lines.flatMap(({ event, message }) => (event === 'note' ? [String(message)] : []));
    expect(said.some((text) => /^peer-5 comes late/.test(text))).toBe(true);
    expect(said.some((text) => /^peer-2 is killed/.test(text))).toBe(true);
    const peers = demo.lines.filter(({ event, state }) => event === 'peer' && state === 'ready');
    expect(new Set(peers.map(({ name }) => name)).size).toBe(5);
  });
});
