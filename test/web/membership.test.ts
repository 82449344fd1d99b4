import { expect, test } from 'vitest';
import type { JoinEvent } from '../../src/browser.ts';
import { after, STARTED } from '../../src/web/membership.ts';

const then = (...events: readonly JoinEvent[]) => events.reduce(after, STARTED);

test('a peer that joins, catches up and measures', () => {
  const state = then(
    { event: 'device', backend: 'wasm', adapter: 'none', threads: 2 },
    { event: 'fetching', path: 'model.safetensors', done: 500_000, total: 1_743_024 },
    { event: 'connected', slot: 4, head: 20 },
    { event: 'catchup', round: 10, head: 20 },
    { event: 'ready', round: 20 },
    { event: 'measured', round: 20, records: 32, ms: 80.2 },
    { event: 'round', round: 21 },
    { event: 'measured', round: 21, records: 8, ms: 20 },
  );
  expect(state).toEqual({
    ...{ doing: 'measured 8 gradients of round 22 in 20 ms', device: '2 threads' },
    ...{ slot: 4, records: 40, rounds: 2, paused: false },
  });
});

test('what is fetched is said with how much of it is there', () => {
  expect(then({ event: 'fetching', path: 'a', done: 500_000, total: 2_000_000 }).doing).toBe(
    'fetching a: 500 kB of 2.00 MB',
  );
});

test('paused and going on, disconnected and trying again', () => {
  expect(then({ event: 'paused', why: 'hidden' })).toMatchObject({ paused: true, doing: 'paused while hidden' });
  expect(then({ event: 'paused', why: 'asked' }, { event: 'resumed' })).toMatchObject({ paused: false });
  const lost = then({ event: 'disconnected', code: 'HOST_UNREACHABLE', detail: 'nothing answers', retryMs: 500 });
  expect(lost.doing).toBe('disconnected: nothing answers; trying again');
});
