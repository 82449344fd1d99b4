/** The short fuzz. `npm run fuzz` is the long one, and says how to have one frame of one run again. */
import { expect, test } from 'vitest';
import { fuzzHost } from './host.ts';
import { fuzzPeer, truth } from './peer.ts';
import { emptyReport } from './run.ts';

const FRAMES = 10_000;
const LONG = { timeout: 300_000 };

test(
  '10,000 hostile frames at a coordinator: refused by code, nothing forged is committed, every run ends with equal weights',
  LONG,
  async () => {
    const report = emptyReport();
    for (let seed = 1; report.frames < FRAMES; seed++) await fuzzHost(seed, FRAMES - report.frames, report);
    expect(report.frames).toBe(FRAMES);
    for (const code of ['FRAME_INVALID', 'MESSAGE_UNEXPECTED', 'SIGNATURE_WRONG', 'CONTRIBUTION_STALE', 'DRIFT'])
      expect(report.answers.get(code), code).toBeGreaterThan(0);
  },
);

test(
  '10,000 hostile frames at a peer: it applies only what was committed, and ends with the weights of the run',
  LONG,
  async () => {
    const report = emptyReport();
    const told = await truth();
    for (let seed = 1; report.frames < FRAMES; seed++) await fuzzPeer(told, seed, 400, report);
    for (const code of ['FRAME_INVALID', 'MESSAGE_UNEXPECTED', 'JOURNAL_CORRUPT', 'SIGNATURE_WRONG'])
      expect(report.answers.get(code), code).toBeGreaterThan(0);
  },
);
