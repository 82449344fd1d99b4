import { expect, test } from 'vitest';
import { fuzzHost } from './host.ts';
import { fuzzPeer, truth } from './peer.ts';
import { emptyReport } from './run.ts';

test.skip('hostile frames at a coordinator: refused by code, nothing forged is committed, the run ends, weights are equal', async () => {
  const report = emptyReport();
  for (let seed = 1; report.frames < 1000; seed++) await fuzzHost(seed, 1000 - report.frames, report);
  console.log(report);
  expect(report.episodes).toBeGreaterThan(0);
});
test('hostile frames at a peer: ', async () => {
  const report = emptyReport();
  const told = await truth();
  for (let seed = 1; report.frames < 1000; seed++) await fuzzPeer(told, seed, 200, report);
  console.log(report);
  expect(report.episodes).toBeGreaterThan(0);
});
