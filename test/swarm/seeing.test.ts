/** Looking at real runs: status, metrics, doctor and what is left in the folder. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { expectOneDigest, linkOf, place, RUNNABLE, resultOf } from './run.ts';

const LONG = { timeout: 300_000 };

describe.skipIf(!RUNNABLE)('a run that is looked at (npm run build makes the processes)', () => {
  test('while it waits for a peer, and when it is over', LONG, async () => {
    const at = place();
    const log = join(at.folder, 'host.log');
    const settings = { peers: 1, min_peers: 2, per_device_train_batch_size: 4, max_steps: 3, log_file: log };
    const host = at.host(settings);
    const link = await linkOf(host);
    const view = String((await host.waitFor(({ event }) => event === 'view'))['link']);
    await host.waitFor(({ event, state }) => event === 'peer' && state === 'ready');

    const { origin } = new URL(link);
    const code = view.split('/').at(-1);
    expect((await fetch(`${origin}/guess/metrics`)).status).toBe(404);
    const refused = await host.waitFor(({ event }) => event === 'refused');
    expect(refused).toMatchObject({ code: 'CODE_WRONG', level: 'warn', detail: expect.stringContaining('metrics') });
    const metrics = await fetch(`${origin}/${code}/metrics`);
    expect(metrics.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await metrics.text();
    for (const line of [
      ...[
        'murmur_round 0',
        'murmur_max_rounds 3',
        'murmur_peers{state="ready"} 1',
        'murmur_peer_lag_rounds{slot="0"} 0',
      ],
      ...['murmur_refusals_total{code="CODE_WRONG"} 1', 'murmur_peer_strikes{slot="0"} 0'],
    ])
      expect(text.split('\n')).toContain(line);
    expect(text).toMatch(/^murmur_wire_bytes_total [1-9]/m);
    expect(text).toMatch(/^process_resident_memory_bytes [1-9]/m);

    const live = await resultOf(at.run('status', view));
    expect(live).toMatchObject({ kind: 'live', phase: 'waiting', round: 0, max_steps: 3, evaluated: 0 });
    expect(live['eval/loss']).toEqual(expect.any(Number));
    expect(live['peers']).toMatchObject([{ slot: 0, state: 'ready', records: 0, strikes: 0, lag: 0 }]);
    expect(await resultOf(at.run('doctor', link, '--threads', '1'))).toMatchObject({ checks: 14 });
    const asked = await at.run('status', link.replace(/join.*/, 'join/guess')).exit();
    expect(asked.done).toMatchObject({ error: { code: 'CODE_WRONG' } });

    await expectOneDigest(at, host, [at.join(link, 'other')]);
    const past = await resultOf(at.run('status', at.out));
    expect(past).toMatchObject({ kind: 'past', phase: 'done', round: 3, evaluated: 3 });
    const rows = past['peers'] as { readonly records: number; readonly share: number }[];
    expect(rows.reduce((sum, { records }) => sum + records, 0)).toBe(3 * 8);
    expect(rows.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
    const [run] = readdirSync(join(at.out, 'runs'));
    expect(readdirSync(join(at.out, 'runs', run!))).toEqual([
      expect.stringMatching(/^events\.out\.tfevents\.\d{10}\./),
    ]);
    const logged = readFileSync(log, 'utf8').trim().split('\n');
    expect(logged.map((line) => JSON.parse(line).event)).toEqual(
      expect.arrayContaining(['listening', 'refused', 'round', 'evaluation', 'done']),
    );
    const gone = await at.run('status', link).exit();
    expect(gone.done).toMatchObject({ error: { code: 'HOST_UNREACHABLE' } });
  });
});
