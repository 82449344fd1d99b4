/**
 * `/<code>/metrics`: a host as Prometheus scrapes it, by the library `prom-client`. What happens is counted as it happens;
 * what stands is asked for when somebody looks. Counters begin with the host, gauges with the run.
 *
 * @module
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Manifest } from '../../nouns.ts';
import type { HostEvent } from '../events.ts';
import type { PeerStatus, RunStatus } from '../status.ts';

export interface Metrics {
  hear(event: HostEvent): void;
  /** @returns the text of the exposition format and its content type. */
  text(): Promise<{ readonly type: string; readonly body: string }>;
}

/** Seconds: a round of the demo takes some milliseconds, one of a large model minutes. */
const COMMIT_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
/** Seconds: an fsync takes a tenth of a millisecond on a good disk, a tenth of a second on a bad one. */
const DISK_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

const STATES: readonly PeerStatus['state'][] = ['joining', 'ready', 'measuring', 'late', 'gone', 'evicted'];

/** Of a run: metric → what it is, and its value now. */
const OF_RUN: Readonly<Record<string, readonly [string, (status: RunStatus) => number]>> = {
  murmur_round: ['Rounds committed since the run began.', ({ round }) => round],
  murmur_max_rounds: ['Rounds of the whole run.', ({ max_steps }) => max_steps],
  murmur_open_round_seconds: ['Age of the open round; 0 where none is.', ({ open_ms = 0 }) => open_ms / 1000],
  murmur_journal_bytes: ['Size of the journal.', ({ journal_bytes }) => journal_bytes],
  murmur_payload_bytes_total: ['Messages of and to peers since the host began.', ({ bytes }) => bytes.payload],
  murmur_wire_bytes_total: ['What the sockets of peers moved since the host began.', ({ bytes }) => bytes.wire],
};

/** Of each peer, by slot. */
const OF_PEER: Readonly<Record<string, readonly [string, (peer: PeerStatus, round: number) => number | undefined]>> = {
  murmur_peer_records: ['Gradients, or inner steps, in committed rounds.', ({ records }) => records],
  murmur_peer_records_per_second: ['Its rate, the way to the host included.', ({ rate }) => rate],
  murmur_peer_lag_rounds: [
    'Rounds that its weights were behind when it last told.',
    ({ applied }, round) => (applied === undefined ? undefined : Math.max(0, round - applied)),
  ],
  murmur_peer_seen_seconds: ['Since its last message.', ({ seen_ms }) => seen_ms / 1000],
  murmur_peer_strikes: ['Provable offences since the host began.', ({ strikes }) => strikes],
  murmur_peer_payload_bytes_total: ['Messages of and to it since the host began.', ({ bytes }) => bytes.payload],
  murmur_peer_wire_bytes_total: ['What its sockets moved since the host began.', ({ bytes }) => bytes.wire],
};

/** @param status as for those who may look. */
export function openMetrics(manifest: Manifest, run: string, status: () => RunStatus): Metrics {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  collectDefaultMetrics({ register: registry });

  const counter = (name: string, help: string, ...labelNames: string[]): Counter =>
    new Counter({ name, help, labelNames, registers });
  const gauge = (name: string, help: string, ...labelNames: string[]): Gauge =>
    new Gauge({ name, help, labelNames, registers });

  /** What is counted elsewhere, and so only shown here. */
  const shown = (name: string, help: string, ...labelNames: string[]) => {
    const metric = name.endsWith('_total') ? counter(name, help, ...labelNames) : gauge(name, help, ...labelNames);
    return {
      clear: (): void => metric.reset(),
      show: (labels: Record<string, string | number>, value: number): void => metric.inc(labels, value),
    };
  };

  const { base, method, exchange } = manifest;
  gauge('murmur_run_info', 'The run, as labels; always 1.', 'run', 'base', 'method').set(
    { run, base: base.name, method: exchange?.kind ?? method },
    1,
  );
  const rounds = counter('murmur_rounds_total', 'Rounds committed by this host.');
  const records = counter('murmur_records_total', 'Gradients, or inner steps, committed by this host.');
  const usable = counter('murmur_usable_records_total', 'Gradients with a usable loss, committed by this host.');
  const refusals = counter('murmur_refusals_total', 'Messages, connections and requests refused.', 'code');
  const evictions = counter('murmur_evictions_total', 'Peers excluded for good.', 'code');
  const evaluation = gauge('murmur_evaluation', 'The latest held-out metrics of the host.', 'metric');
  const commit = new Histogram({
    ...{ name: 'murmur_commit_seconds', help: 'From the opening of a round to its commit.', registers },
    buckets: COMMIT_BUCKETS,
  });
  const disk = new Histogram({
    ...{ name: 'murmur_disk_seconds', help: 'Of a round, waiting for stable storage.', registers },
    buckets: DISK_BUCKETS,
  });
  const ofRun = Object.entries(OF_RUN).map(([name, [help, of]]) => [shown(name, help), of] as const);
  const peers = gauge('murmur_peers', 'Peers by what they are doing.', 'state');
  const info = gauge('murmur_peer_info', 'Names of peers, as labels; always 1.', 'slot', 'name');
  const ofPeer = Object.entries(OF_PEER).map(([name, [help, of]]) => [shown(name, help, 'slot'), of] as const);

  function look(now: RunStatus): void {
    for (const [metric, of] of ofRun) {
      metric.clear();
      metric.show({}, of(now));
    }
    for (const [metric, value] of Object.entries(now.evaluation?.metrics ?? {})) evaluation.set({ metric }, value);
    for (const state of STATES) peers.set({ state }, now.peers.filter((peer) => peer.state === state).length);
    info.reset();
    for (const { slot, name } of now.peers) info.set({ slot, name }, 1);
    for (const [metric, of] of ofPeer) {
      metric.clear();
      for (const peer of now.peers) {
        const value = of(peer, now.round);
        if (value !== undefined) metric.show({ slot: peer.slot }, value);
      }
    }
  }

  const HEAR: { readonly [E in HostEvent['event']]?: (event: Extract<HostEvent, { readonly event: E }>) => void } = {
    round(event) {
      rounds.inc();
      records.inc(event.records);
      usable.inc(event.usable);
      commit.observe(event.ms / 1000);
      disk.observe(event.disk_ms / 1000);
    },
    merge(event) {
      rounds.inc();
      records.inc(event.steps);
      commit.observe(event.ms / 1000);
    },
    refused: ({ code, times = 1 }) => refusals.inc({ code }, times),
    evicted: ({ code }) => evictions.inc({ code }),
  };

  return {
    // The table's entry is for this type of event: TypeScript forgets that when it looks it up.
    hear: (event) => (HEAR[event.event] as ((event: HostEvent) => void) | undefined)?.(event),
    async text() {
      look(status());
      return { type: registry.contentType, body: await registry.metrics() };
    },
  };
}
