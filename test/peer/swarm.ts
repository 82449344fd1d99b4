/** Hosts and participants in one process, on a fake clock. */

import type { Journal } from '../../src/journal/journal.ts';
import type { Manifest } from '../../src/nouns.ts';
import type { HostEvent, ParticipantEvent } from '../../src/peer/events.ts';
import { type Host, type HostOptions, startHost } from '../../src/peer/host.ts';
import { memoryStore } from '../../src/peer/memory-store.ts';
import { nodeCompressor } from '../../src/peer/node/compressor.ts';
import { type Participant, type ParticipantOptions, startParticipant } from '../../src/peer/participant.ts';
import { memoryNetwork } from '../../src/peer/transport-memory.ts';
import type { Store, Transport } from '../../src/ports.ts';
import {
  begunJournal,
  entropyOf,
  type FakeClock,
  type FakeReplica,
  fakeClock,
  fakeCrypto,
  fakeReplica,
  HOST_SECRET,
  journalFetcher,
  MANIFEST,
  secretOf,
  seeded,
} from './fake.ts';

export interface Swarm {
  readonly clock: FakeClock;
  readonly network: () => Transport;
  readonly random: () => number;
  /** Of the present host. */
  journal: Journal;
  host: Host;
  readonly hostEvents: HostEvent[];
  /** Of the weights of the present host. */
  hostChecksum(): Promise<Uint8Array>;
  /** Replicas that participants made, newest last. */
  readonly replicas: FakeReplica[];
  /** Starts a host over the same stores; the old one must be gone. */
  restart(options?: Partial<HostOptions>): Promise<void>;
  join(
    number: number,
    options?: Partial<ParticipantOptions> & { msPerRecord?: number },
  ): Participant & {
    readonly events: ParticipantEvent[];
  };
}

/** @param latency ms a frame is under way, @param disk ms a sync takes, at most; drawn for each. */
export async function swarm(
  manifest: Manifest = MANIFEST,
  options: Partial<HostOptions> = {},
  { seed = 1, latency = 5, disk = 0 }: { seed?: number; latency?: number; disk?: number } = {},
): Promise<Swarm> {
  const clock = fakeClock();
  const random = seeded(seed);
  const network = memoryNetwork((deliver) => clock.after(random() * latency, deliver));
  let journalStore = memoryStore();
  let pendingStore = memoryStore();
  let hostReplica = fakeReplica(clock);
  const hostEvents: HostEvent[] = [];
  const replicas: FakeReplica[] = [];

  /** Nobody advances the clock meanwhile. */
  let starting = false;
  /** A disk takes its time, so that a host can die while it waits. */
  const slow = (store: Store): Store => ({
    ...store,
    async sync() {
      const ms = starting ? 0 : random() * disk;
      if (ms > 0) await new Promise<void>((resolve) => clock.after(ms, resolve));
      await store.sync();
    },
  });

  async function start(more: Partial<HostOptions>): Promise<void> {
    starting = true;
    self.journal = await begunJournal(manifest, fakeCrypto, slow(journalStore));
    hostReplica = fakeReplica(clock);
    self.host = await startHost({
      journal: self.journal,
      pending: slow(pendingStore),
      transport: network(),
      replica: hostReplica,
      crypto: fakeCrypto,
      secret: HOST_SECRET,
      clock,
      entropy: entropyOf(random),
      joinCode: 'open sesame',
      minPeers: 1,
      evalSteps: 5,
      onEvent: (event) => hostEvents.push(event),
      ...options,
      ...more,
    });
    starting = false;
  }

  const self: Swarm = {
    clock,
    network,
    random,
    journal: undefined as unknown as Journal,
    host: undefined as unknown as Host,
    hostEvents,
    hostChecksum: () => hostReplica.checksum(),
    replicas,
    async restart(more = {}) {
      // Of what was not synced, the first bytes may have reached the disk.
      journalStore = journalStore.crash(Math.floor(random() * 200));
      pendingStore = pendingStore.crash(Math.floor(random() * 20));
      await start(more);
    },
    join(number, { msPerRecord = 1, ...more } = {}) {
      const events: ParticipantEvent[] = [];
      const dialler = network();
      const participant = startParticipant({
        // The address of the host changes when it restarts; a real one keeps its port.
        transport: { ...dialler, dial: (_, to) => dialler.dial(self.host.address, to) },
        address: '',
        fetcher: journalFetcher(() => self.journal),
        joinCode: 'open sesame',
        crypto: fakeCrypto,
        compressor: nodeCompressor,
        secret: secretOf(number),
        name: `peer ${number}`,
        clock,
        entropy: entropyOf(random),
        async makeReplica() {
          const replica = fakeReplica(clock, msPerRecord);
          replicas.push(replica);
          return replica;
        },
        checksumSteps: 2,
        patienceMs: 600_000,
        onEvent: (event) => events.push(event),
        ...more,
      });
      return { ...participant, events };
    },
  };
  await start({});
  return self;
}

/** Whether a promise has settled. */
export function settledFlag(promise: Promise<unknown>): () => boolean {
  let done = false;
  promise.then(
    () => (done = true),
    () => (done = true),
  );
  return () => done;
}
