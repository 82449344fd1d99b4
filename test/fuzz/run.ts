/** What both sides of the fuzz share: a run with real signatures on a clock of its own, and what must hold of it. */
import { strict as assert } from 'node:assert';
import type { Journal } from '../../src/journal/journal.ts';
import { verifyJournal } from '../../src/journal/reader.ts';
import type { Manifest, Round } from '../../src/nouns.ts';
import { toHex } from '../../src/numeric/bytes.ts';
import { type Host, startHost } from '../../src/peer/host.ts';
import { ledgerOf, roundsOf } from '../../src/peer/ledger.ts';
import { memoryStore } from '../../src/peer/memory-store.ts';
import { nodeCompressor } from '../../src/peer/node/compressor.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import type { Participant, ParticipantOptions } from '../../src/peer/participant.ts';
import { startParticipant } from '../../src/peer/participant.ts';
import { memoryNetwork } from '../../src/peer/transport-memory.ts';
import type { Channel, ChannelEvents, Transport } from '../../src/ports.ts';
import { decodePeerMessage } from '../../src/wire/messages.ts';
import {
  begunJournal,
  entropyOf,
  type FakeClock,
  fakeClock,
  fakeReplica,
  HOST_SECRET,
  journalFetcher,
  MANIFEST,
  seeded,
} from '../peer/fake.ts';
import type { Random } from './mutate.ts';

export const CODE = 'open sesame';
export const ROUNDS = 6;
const FUZZED: Manifest = {
  ...MANIFEST,
  max_steps: ROUNDS,
  coordinator: toHex(nodeCrypto.publicKey(HOST_SECRET)),
};
/** Records take long, so that there is time for hostile frames in every round. */
const MS_PER_RECORD = 20;

/** What one side counted. */
export interface Report {
  frames: number;
  /** Hostile frames by what was answered to them; `none`: nothing that is seen. */
  readonly answers: Map<string, number>;
  /** Runs that ended. */
  episodes: number;
}

export const emptyReport = (): Report => ({ frames: 0, answers: new Map(), episodes: 0 });
export const tally = (counts: Map<string, number>, name: string): void =>
  void counts.set(name, (counts.get(name) ?? 0) + 1);

/** Frames of a peer that were sent, and those that it heard. */
export interface Tapped {
  readonly sent: Uint8Array[];
  readonly heard: Uint8Array[];
}

export interface Episode {
  readonly clock: FakeClock;
  readonly random: Random;
  readonly network: () => Transport;
  readonly journal: Journal;
  readonly host: Host;
  join(
    number: number,
    options?: Partial<ParticipantOptions>,
  ): { readonly participant: Participant; readonly tap: Tapped };
}

/** A secret of its own for everybody. */
export const secretOf = (number: number): Uint8Array => {
  const secret = new Uint8Array(32);
  new DataView(secret.buffer).setUint32(0, number + 1);
  return secret;
};

const keys = new Map<string, Uint8Array>();
/** Of a secret, made once: it takes longer than to sign. */
export function keyOf(secret: Uint8Array): Uint8Array {
  const name = toHex(secret);
  const key = keys.get(name) ?? nodeCrypto.publicKey(secret);
  keys.set(name, key);
  return key;
}

export async function episode(seed: number): Promise<Episode> {
  const clock = fakeClock();
  const random = seeded(seed);
  const network = memoryNetwork();
  const journal = await begunJournal(FUZZED, nodeCrypto);
  const host = await startHost({
    ...{ journal, pending: memoryStore(), transport: network(), replica: fakeReplica(clock), crypto: nodeCrypto },
    ...{ secret: HOST_SECRET, clock, entropy: entropyOf(random), joinCode: CODE, minPeers: 2, evalSteps: 3 },
  });
  return {
    ...{ clock, random, network, journal, host },
    join(number, options = {}) {
      const tap: Tapped = { sent: [], heard: [] };
      const dialler = network();
      const participant = startParticipant({
        transport: { dial: (address, events) => tapped(dialler, address, events, tap) },
        address: host.address,
        fetcher: journalFetcher(() => journal),
        ...{ joinCode: CODE, crypto: nodeCrypto, compressor: nodeCompressor, secret: secretOf(number) },
        ...{ name: `peer ${number}`, clock, entropy: entropyOf(random), checksumSteps: 1, patienceMs: 600_000 },
        makeReplica: async () => fakeReplica(clock, MS_PER_RECORD),
        ...options,
      });
      return { participant, tap };
    },
  };
}

async function tapped(dialler: Transport, address: string, events: ChannelEvents, tap: Tapped): Promise<Channel> {
  const channel = await dialler.dial(address, {
    frame(bytes) {
      tap.heard.push(bytes.slice());
      events.frame(bytes);
    },
    closed: (reason) => events.closed(reason),
  });
  return {
    ...channel,
    send(frame) {
      tap.sent.push(frame.slice());
      channel.send(frame);
    },
    close: (reason) => channel.close(reason),
    traffic: () => channel.traffic(),
  };
}

/** Weights that a journal gives, whatever was in the way of the run. */
export async function rootOf(
  journal: Uint8Array,
): Promise<{ readonly root: string; readonly rounds: readonly Round[] }> {
  const entries = verifyJournal(journal, nodeCrypto).records.map(({ entry }) => entry);
  ledgerOf(entries); // recomputes every header
  const rounds = roundsOf(entries);
  const replica = fakeReplica(fakeClock());
  await replica.apply(rounds);
  return { root: toHex(await replica.root()), rounds };
}

/** That a journal holds what honest peers sent, and nothing else. */
export function checkHonest(rounds: readonly Round[], taps: readonly Tapped[]): void {
  const honest = new Set(
    taps.flatMap(({ sent }) =>
      sent.flatMap((frame) => {
        const message = decodePeerMessage(frame);
        return message.type === 'contribution' ? [`${message.round} ${message.from} ${message.codes}`] : [];
      }),
    ),
  );
  for (const { header, segments } of rounds)
    for (const { from, codes } of segments)
      assert.ok(honest.has(`${header.round} ${from} ${codes}`), `round ${header.round} holds what nobody honest sent`);
}
