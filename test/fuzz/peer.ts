/** Hostile frames at a peer: a host, or whoever sits on the line to it, that says what it likes. */
import { strict as assert } from 'node:assert';
import { Fault } from '../../src/faults.ts';
import { type JournalRecord, journalStart, readJournal } from '../../src/journal/reader.ts';
import type { Round } from '../../src/nouns.ts';
import { nodeCompressor } from '../../src/peer/node/compressor.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { type Participant, startParticipant } from '../../src/peer/participant.ts';
import type { Channel, ChannelEvents } from '../../src/ports.ts';
import { decodePeerMessage, encodeHostMessage } from '../../src/wire/messages.ts';
import { entropyOf, type FakeClock, fakeClock, fakeReplica, seeded } from '../peer/fake.ts';
import { below, type Hostile, hostileFrame, type Random } from './mutate.ts';
import { CODE, emptyReport, episode, type Report, secretOf, tally } from './run.ts';

/** A run as it was: what every peer of it must come to, and what its host said. */
export interface Truth {
  readonly run: Uint8Array;
  readonly journal: Uint8Array;
  readonly records: readonly JournalRecord[];
  readonly rounds: readonly Round[];
  readonly root: string | undefined;
  /** Frames of the host. */
  readonly frames: readonly Uint8Array[];
}

export async function truth(): Promise<Truth> {
  const { clock, host, journal, join } = await episode(0);
  const peers = [1, 2].map((number) => join(number));
  let ended = 0;
  for (const { participant } of peers) participant.finished.finally(() => ended++).catch(() => undefined);
  assert.ok(await clock.until(() => ended === 2, 3_600_000));
  const { root } = await host.finished;
  const bytes = await journal.read();
  const { records, position } = readJournal(bytes, nodeCrypto, journalStart());
  const rounds = records.flatMap(({ entry }) => (entry.type === 'round' ? [entry.round] : []));
  return { run: position.run!, journal: bytes, records, rounds, root, frames: peers.flatMap(({ tap }) => tap.heard) };
}

/** Messages of other runs, so that every type is among what is changed. */
const OTHERS = [
  encodeHostMessage({ type: 'want', hashes: [new Uint8Array(32)] }),
  encodeHostMessage({ type: 'chunk', hash: new Uint8Array(32), packed: new Uint8Array(40) }),
  encodeHostMessage({
    ...{ type: 'sum', round: 1, attempt: 0, shares: [{ slot: 1, count: 2 }] },
    parts: [{ part: 0, hashes: [new Uint8Array(32)] }],
  }),
  encodeHostMessage({ type: 'settle', round: 1, attempt: 0, norm: 1 }),
  encodeHostMessage({ type: 'refused', code: 'RUN_FULL', detail: 'try again later' }),
  encodeHostMessage({ type: 'refused', code: 'DRIFT', detail: 'weights differ' }),
  encodeHostMessage({ type: 'refused', code: 'CONTRIBUTION_STALE', detail: 'closed' }),
];

/** Part of what a peer is told that is hostile. */
const HOSTILE = 0.6;

/**
 * A peer, and a line on which most of what comes is hostile, until so many frames have come; then the rest of the run,
 * in order. A peer that gave up, as it may, is started again from nothing.
 */
export async function fuzzPeer(
  { run, journal, records, rounds, root, frames }: Truth,
  seed: number,
  most: number,
  report: Report = emptyReport(),
  show: (index: number, hostile: Hostile, answer: string) => void = () => undefined,
): Promise<Report> {
  const clock: FakeClock = fakeClock();
  const random: Random = seeded(seed);
  const corpus = [...OTHERS, ...frames];
  let index = 0;
  /** What the last hostile frame led to. */
  let answer = 'none';
  /** What the host that is played has committed: the peer is told no more. */
  let told = 1;
  let line: ChannelEvents | undefined;
  let ready = false;

  const end = (at: number): number => records[at]?.offset ?? journal.length;
  const commit = (at: number): Uint8Array =>
    encodeHostMessage({ type: 'commit', offset: records[at]!.offset, record: records[at]!.bytes });

  function dial(_: string, events: ChannelEvents): Promise<Channel> {
    const self = events;
    line = self;
    ready = false;
    const say = (message: Parameters<typeof encodeHostMessage>[0]): void =>
      queueMicrotask(() => line === self && self.frame(encodeHostMessage(message)));
    return Promise.resolve({
      send(frame) {
        const { type } = decodePeerMessage(frame);
        // Before the handshake is through, some of what comes is hostile too.
        if (type !== 'ready' && index < most && random() < 0.1) {
          queueMicrotask(attack);
          return;
        }
        if (type === 'hello') say({ type: 'challenge', nonce: new Uint8Array(32), run });
        if (type === 'prove') say({ type: 'admitted', slot: 0, head: 0 });
        if (type === 'ready') ready = true;
      },
      close(reason) {
        if (line !== self) return;
        line = undefined;
        queueMicrotask(() => self.closed(reason));
      },
      traffic: () => ({ received: 0, sent: 0 }),
    });
  }

  function attack(): void {
    if (line === undefined) return;
    const hostile = hostileFrame(random, corpus);
    answer = 'none';
    report.frames++;
    line.frame(hostile.frame);
    const shown = index++;
    later.push(() => {
      tally(report.answers, answer);
      show(shown, hostile, answer);
    });
  }
  let later: (() => void)[] = [];

  function applied(replica: ReturnType<typeof fakeReplica>): ReturnType<typeof fakeReplica> {
    return {
      ...replica,
      apply(committed) {
        for (const round of committed)
          assert.deepEqual(round, rounds[round.header.round], 'a round that was never committed');
        return replica.apply(committed);
      },
    };
  }

  function start(): Participant {
    return startParticipant({
      transport: { dial },
      address: '',
      fetcher: {
        async journal(from) {
          const upTo = end(told);
          if (from > upTo) throw new Fault('JOURNAL_FORKED', 'the journal has become shorter');
          return journal.slice(from, upTo);
        },
        blob: async () => new Uint8Array(0),
        snapshot: async () => undefined,
      },
      ...{ joinCode: CODE, crypto: nodeCrypto, compressor: nodeCompressor, secret: secretOf(1), name: 'victim' },
      ...{ clock, entropy: entropyOf(random), checksumSteps: 1, patienceMs: Number.POSITIVE_INFINITY },
      makeReplica: async () => applied(fakeReplica(clock)),
      onEvent(event) {
        if (event.event === 'disconnected') answer = event.code;
      },
    });
  }

  let over = false;
  const watch = (participant: Participant): void =>
    void participant.finished.then(
      ({ root: found }) => {
        assert.equal(found, root, 'the weights of the run');
        over = true;
      },
      (error) => {
        // Some of what comes is a refusal that is final, or proof of a host that lies: a peer then leaves, by a code.
        assert.ok(error instanceof Fault && error.code !== 'INTERNAL', String((error as Error).stack ?? error));
        answer = error.code;
        line = undefined;
        watch(start());
      },
    );
  watch(start());

  while (!over) {
    await clock.advance(line !== undefined && ready ? 1 : 400);
    for (const book of later) book();
    later = [];
    if (line === undefined || !ready) continue;
    if (index < most && random() < HOSTILE) attack();
    else if (told < records.length && (index >= most || below(random, Math.max(2, most >> 3)) === 0))
      line.frame(commit(told++));
    else if (told === records.length && index >= most)
      line.frame(encodeHostMessage({ type: 'done', round: rounds.length }));
  }
  report.episodes++;
  return report;
}
