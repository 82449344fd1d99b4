/** Hostile frames at a coordinator: strangers, those that have the code, and those with keys of their own inside. */
import { strict as assert } from 'node:assert';
import { toHex } from '../../src/numeric/bytes.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import type { Channel } from '../../src/ports.ts';
import { PROTOCOL_VERSION } from '../../src/wire/limits.ts';
import { decodeHostMessage, encodePeerMessage } from '../../src/wire/messages.ts';
import { challengeMessage, contributionMessage } from '../../src/wire/signed.ts';
import { below, type Hostile, hostileFrame, pick, type Random } from './mutate.ts';
import {
  CODE,
  checkHonest,
  type Episode,
  emptyReport,
  episode,
  keyOf,
  type Report,
  ROUNDS,
  rootOf,
  secretOf,
  tally,
} from './run.ts';

/** Hostile frames for each virtual millisecond: some thousands in a run. */
const PER_MS = 2;
/** A run takes this long if nobody stalls it; from here on the hostile ones are quiet. */
const MOST_FRAMES = 6000;
/** Connections of hostile peers at a time. */
const CONNECTIONS = 6;
/** Times that a key of theirs is used: with the third offence it is evicted. */
const USES = 4;

type Stage = 'stranger' | 'greeted' | 'proved';
const STAGES: readonly Stage[] = ['stranger', 'stranger', 'greeted', 'proved'];

interface Foe {
  readonly channel: Channel;
  readonly secret: Uint8Array;
  open: boolean;
  /** The last refusal. */
  refused: string | undefined;
}

async function foe({ network, host, clock }: Episode, number: number, stage: Stage): Promise<Foe> {
  const secret = secretOf(number);
  const key = keyOf(secret);
  const heard: ReturnType<typeof decodeHostMessage>[] = [];
  const self: { -readonly [K in keyof Foe]: Foe[K] } = {
    ...{ channel: undefined as unknown as Channel, secret, open: true, refused: undefined },
  };
  self.channel = await network().dial(host.address, {
    frame(bytes) {
      const message = decodeHostMessage(bytes);
      heard.push(message);
      if (message.type === 'refused') self.refused = message.code;
    },
    closed() {
      self.open = false;
    },
  });
  if (stage === 'stranger') return self;
  self.channel.send(encodePeerMessage({ type: 'hello', version: PROTOCOL_VERSION, key, code: CODE, name: 'foe' }));
  await clock.advance(0);
  const challenge = heard.find((message) => message.type === 'challenge');
  if (stage === 'greeted' || challenge?.type !== 'challenge') return self;
  const signed = challengeMessage(challenge.nonce, challenge.run, key);
  self.channel.send(encodePeerMessage({ type: 'prove', signature: nodeCrypto.sign(secret, signed) }));
  await clock.advance(0);
  return self;
}

/** Well-formed, signed with a good key, and for another run, round, history or range. */
function missigned({ journal, random }: Episode, secret: Uint8Array): Hostile {
  const { run, anchor, state } = journal.position;
  const round = state!.rounds;
  const other = nodeCrypto.sha256(anchor);
  const codes = Int8Array.from({ length: 1 + below(random, 8) }, () => 127);
  const from = below(random, 32);
  const signed = pick(random, [
    contributionMessage(other, round, anchor, from, codes),
    contributionMessage(run!, round + 1, anchor, from, codes),
    contributionMessage(run!, round, other, from, codes),
    contributionMessage(run!, round, anchor, from + 1, codes),
    contributionMessage(
      run!,
      round,
      anchor,
      from,
      codes.map((code) => -code),
    ),
  ]);
  const signature = nodeCrypto.sign(secret, signed);
  return { kind: 'missigned', frame: encodePeerMessage({ type: 'contribution', round, from, codes, signature }) };
}

/** Messages of other runs, so that every type is among what is changed. */
const OTHERS = [
  encodePeerMessage({ type: 'want', hashes: [new Uint8Array(32), new Uint8Array(32)] }),
  encodePeerMessage({ type: 'chunk', hash: new Uint8Array(32), packed: new Uint8Array(40) }),
  encodePeerMessage({ type: 'summed', round: 1, attempt: 0, squares: [1, 2], refused: [3] }),
  encodePeerMessage({ type: 'settled', round: 1, attempt: 0, hashes: [new Uint8Array(32)] }),
];

/**
 * One run with two honest peers, and hostile frames until it is done.
 * @param most frames. @param show is called with each frame and what was answered.
 */
export async function fuzzHost(
  seed: number,
  most: number,
  report: Report = emptyReport(),
  show: (index: number, stage: Stage, hostile: Hostile, answer: string) => void = () => undefined,
): Promise<Report> {
  const run = await episode(seed);
  const { clock, random, host, journal } = run;
  const peers = [1, 2].map((number) => run.join(number));
  await clock.until(() => host.view().peers.length === 2, 10_000);
  let over = false;
  const noticed = host.finished.finally(() => {
    over = true;
  });
  noticed.catch(() => undefined);

  const foes: { self: Foe; stage: Stage }[] = [];
  let numbers = 10;
  let uses = 0;
  for (let index = 0; index < Math.min(most, MOST_FRAMES) && !over; index++) {
    const at = below(random, CONNECTIONS);
    if (foes[at]?.self.open !== true) {
      const stage = pick(random, STAGES);
      if (stage === 'proved' && ++uses % USES === 0) numbers++;
      foes[at] = { self: await foe(run, numbers, stage), stage };
      if (over) break;
    }
    const { self, stage } = foes[at]!;
    const corpus = [...OTHERS, ...peers.flatMap(({ tap }) => [...tap.sent.slice(0, 3), ...tap.sent.slice(-12)])];
    const hostile = random() < 0.08 ? missigned(run, self.secret) : hostileFrame(random, corpus);
    self.refused = undefined;
    self.channel.send(hostile.frame);
    await clock.advance(index % PER_MS === 0 ? 1 : 0);
    const answer = self.refused ?? 'none';
    report.frames++;
    tally(report.answers, answer);
    show(index, stage, hostile, answer);
  }
  for (const { self } of foes) self?.channel.close('');
  assert.ok(await clock.until(() => over, 3_600_000), 'the run ends');
  await finished(run, peers);
  report.episodes++;
  return report;

  async function finished(_: Episode, honest: typeof peers): Promise<void> {
    const outcome = await host.finished;
    assert.equal(outcome.reason, 'done');
    let ended = 0;
    for (const { participant } of honest) participant.finished.finally(() => ended++).catch(() => undefined);
    await clock.until(() => ended === honest.length, 3_600_000);
    for (const { participant } of honest) assert.equal((await participant.finished).root, outcome.root);
    const { root, rounds } = await rootOf(await journal.read());
    assert.equal(rounds.length, ROUNDS);
    assert.equal(root, outcome.root);
    checkHonest(
      rounds,
      honest.map(({ tap }) => tap),
    );
  }
}

export const hex: (frame: Uint8Array) => string = toHex;
export type { Random, Stage };
