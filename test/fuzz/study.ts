/** The long fuzz: as many frames as one likes at either side, or one frame of one run again. `bench/fuzz.mjs` starts it. */
import { toHex } from '../../src/numeric/bytes.ts';
import { fuzzHost } from './host.ts';
import { fuzzPeer, truth } from './peer.ts';
import { emptyReport, type Report } from './run.ts';

export const SIDES = ['host', 'peer'] as const;
export type Side = (typeof SIDES)[number];

/** Frames at one peer before it is let go to the end of its run. */
const PEER_FRAMES = 400;
const EVERY = 20_000;

export interface Result extends Report {
  readonly seconds: number;
  /** MiB: before, after, and the most in between. */
  readonly rss: { readonly before: number; readonly after: number; readonly most: number };
}

const rss = (): number => Math.floor(process.memoryUsage.rss() / 2 ** 20);

/** @param seed of the first run; each has the next. @param say is told from time to time how far it is. */
export async function fuzz(side: Side, frames: number, seed: number, say: (line: string) => void): Promise<Result> {
  const report = emptyReport();
  const told = side === 'peer' ? await truth() : undefined;
  const episode = (n: number, left: number): Promise<Report> =>
    told ? fuzzPeer(told, n, Math.min(left, PEER_FRAMES), report) : fuzzHost(n, left, report);
  await episode(seed, 1000); // what is loaded and compiled once is no growth
  const before = rss();
  let most = before;
  const began = performance.now();
  for (let n = seed + 1; report.frames < frames; n++) {
    const last = report.frames;
    await episode(n, frames - report.frames);
    most = Math.max(most, rss());
    if (Math.floor(report.frames / EVERY) > Math.floor(last / EVERY))
      say(`${side}: ${report.frames} frames, ${report.episodes} runs, seed ${n}, rss ${rss()} MiB`);
  }
  return { ...report, seconds: (performance.now() - began) / 1000, rss: { before, after: rss(), most } };
}

/** One run again, and what became of its frame `index`. */
export async function again(side: Side, seed: number, index: number, say: (line: string) => void): Promise<void> {
  const report = emptyReport();
  const line = (at: number, what: string, frame: Uint8Array, answer: string): void => {
    if (at === index) say(`${side} seed ${seed} frame ${at}: ${what}, ${toHex(frame)}: ${answer}`);
  };
  if (side === 'peer')
    await fuzzPeer(await truth(), seed, PEER_FRAMES, report, (at, { kind, frame }, answer) =>
      line(at, kind, frame, answer),
    );
  else
    await fuzzHost(seed, index + 1, report, (at, stage, { kind, frame }, answer) =>
      line(at, `${kind} by ${stage}`, frame, answer),
    );
}
