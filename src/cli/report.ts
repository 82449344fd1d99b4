/**
 * What a host tells while it runs and at its end: its events with what a person wants beside them, and the numbers of
 * the last line.
 *
 * @module
 */
import type { Manifest, Task } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import { pacer } from '../peer/eta.ts';
import type { HostEvent } from '../peer/events.ts';
import { mergesOf, roundsOf } from '../peer/ledger.ts';
import type { Served } from '../peer/node/serve.ts';
import type { Output } from './output.ts';

export interface HostReport {
  hear(event: HostEvent): void;
  /** From here on, events carry what the sockets count. */
  follow(served: Served): void;
  peerExited(name: string, code: number | null, signal: NodeJS.Signals | null, logs: string): void;
}

export function hostReport(manifest: Manifest, loggingSteps: number, output: Output): HostReport {
  const { max_steps } = manifest;
  const pace = pacer(max_steps, () => performance.now());
  let served: Served | undefined;
  let over = false;
  const counted = () => {
    const traffic = served?.host.traffic();
    return traffic ? { 'bytes/wire': traffic.wire, 'bytes/payload': traffic.payload } : {};
  };
  return {
    hear(event) {
      if (event.event === 'phase') over = event.phase === 'done';
      // When a run is over everybody leaves: no news.
      if (over && event.event === 'peer') return;
      if (event.event === 'round' || event.event === 'merge') {
        pace.hear(event.round);
        const eta_s = pace.left();
        if (event.round % loggingSteps !== 0 && event.round !== max_steps) return;
        output.event({ ...event, max_steps, ...counted(), ...(eta_s === undefined ? {} : { eta_s }) });
      } else if (event.event === 'evaluation') output.event({ ...event, max_steps, ...counted() });
      else output.event({ ...event });
    },
    follow(now) {
      served = now;
    },
    peerExited(name, code, signal, logs) {
      if (code === 0) return;
      const how = signal ? `was ended by ${signal}` : `left with exit code ${code}`;
      output.event({ event: 'warning', message: `${name} ${how}; its log is ${logs}/${name}.log` });
    },
  };
}

/** Of language modelling, the loss as people quote it too. */
export const withPerplexity = (
  metrics: Readonly<Record<string, number>>,
  { kind }: Pick<Task, 'kind'>,
): Readonly<Record<string, number>> =>
  kind === 'lm' && metrics['eval/loss'] !== undefined
    ? { ...metrics, 'eval/perplexity': Math.exp(metrics['eval/loss']) }
    : metrics;

/** The same of a run that exchanges vectors. */
function exchanged(served: Served, seconds: number): Readonly<Record<string, unknown>> {
  const { records, ledger } = served.journal();
  const { exchange, max_steps, task } = ledger.manifest;
  const steps = mergesOf(records).reduce((sum, { shares }) => sum + shares.reduce((n, { count }) => n + count, 0), 0);
  const samples = steps * exchange!.per_device_train_batch_size * exchange!.gradient_accumulation_steps;
  const tokens = 'window' in task ? samples * task.window : undefined;
  const traffic = served.host.traffic();
  return {
    ...Object.fromEntries(
      Object.entries(ledger.evaluated.get(0) ?? {}).map(([name, value]) => [`${name}_before`, value]),
    ),
    ...withPerplexity(ledger.evaluated.get(max_steps) ?? {}, task),
    rounds: ledger.round,
    steps,
    ...(tokens === undefined ? {} : { tokens, 'bytes/token': Number((traffic.wire / tokens).toPrecision(6)) }),
    'bytes/payload': traffic.payload,
    'bytes/wire': traffic.wire,
    'journal/bytes': served.journalBytes(),
    digest: toHex(ledger.digests.get(max_steps)!),
    seconds: Math.round(seconds * 10) / 10,
  };
}

/** The numbers of a run that is done. */
export function result(
  served: Served,
  { max_steps, task }: Manifest,
  seconds: number,
): Readonly<Record<string, unknown>> {
  const { records, ledger } = served.journal();
  const { exchange } = served.journal().ledger.manifest;
  if (exchange) return exchanged(served, seconds);
  const rounds = roundsOf(records);
  let gradients = 0;
  let bytes = 0;
  for (const { segments } of rounds)
    for (const { codes } of segments) {
      gradients += codes.length;
      bytes += codes.byteLength;
    }
  const before = Object.entries(ledger.evaluated.get(0) ?? {}).map(([name, value]) => [`${name}_before`, value]);
  const traffic = served.host.traffic();
  return {
    ...Object.fromEntries(before),
    ...withPerplexity(ledger.evaluated.get(max_steps) ?? {}, task),
    rounds: rounds.length,
    records: gradients,
    'bytes/gradient': bytes / gradients,
    'bytes/payload': traffic.payload,
    'bytes/wire': traffic.wire,
    'journal/bytes': served.journalBytes(),
    digest: toHex(ledger.digests.get(max_steps)!),
    seconds: Math.round(seconds * 10) / 10,
  };
}
