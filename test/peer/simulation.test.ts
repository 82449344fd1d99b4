/**
 * Seeded swarms: peers come, leave, stall, lose their line and drift, are revoked, rounds are rewound, and the host dies, at
 * random. Whatever happens,
 * the run ends, the journal is valid, everybody who is left has its weights, and no receipted record was lost (a
 * participant would have stopped with CENSORED).
 */
import { expect, test } from 'vitest';
import { verifyJournal } from '../../src/journal/reader.ts';
import { toHex } from '../../src/numeric/bytes.ts';
import { ledgerOf, roundsOf } from '../../src/peer/ledger.ts';
import type { Wish } from '../../src/peer/wishes.ts';
import type { Channel } from '../../src/ports.ts';
import { fakeClock, fakeCrypto, fakeReplica, MANIFEST, seeded } from './fake.ts';
import { type Swarm, settledFlag, swarm } from './swarm.ts';

const SEEDS = Number(process.env['SEEDS'] ?? 200);
const FIRST_SEED = Number(process.env['FIRST_SEED'] ?? 0);
/** Of simulated time: an hour is far beyond any deadline here. */
const LIMIT_MS = 3_600_000;

type Joined = ReturnType<Swarm['join']>;

interface Actor {
  readonly participant: Joined;
  readonly line: { channel: Channel | undefined };
  left: boolean;
}

async function simulate(seed: number): Promise<{ restarts: number; takenBack: number; log: string[] }> {
  const random = seeded(seed);
  const pick = (n: number): number => Math.floor(random() * n);
  const manifest = { ...MANIFEST, max_steps: 3 + pick(10), records_per_round: 1 + pick(40) };
  const s = await swarm(
    manifest,
    {
      ...{ minPeers: 1 + pick(2), evalSteps: 1 + pick(5), saveSteps: 1 + pick(6) },
      ...(pick(2) === 0 ? { audit: { fraction: random(), secret: [seed, 1, 2] } } : {}),
    },
    { seed, latency: pick(200), disk: pick(50) },
  );
  const actors: Actor[] = [];
  const log: string[] = [];
  let [restarts, takenBack] = [0, 0];
  const say = (text: string): void => {
    log.push(`${Math.round(s.clock.now())} ms: ${text}`);
  };

  function join(msPerRecord: number): void {
    const line: Actor['line'] = { channel: undefined };
    const dialler = s.network();
    const transport = {
      ...dialler,
      async dial(_: string, events: Parameters<typeof dialler.dial>[1]) {
        line.channel = await dialler.dial(s.host.address, events);
        return line.channel;
      },
    };
    const participant = s.join(actors.length, { msPerRecord, transport });
    say(`peer ${actors.length} joins, ${msPerRecord} ms a record`);
    actors.push({ participant, line, left: false });
  }
  const takeBack = (wish: Wish): Promise<void> =>
    s.host.takeBack(wish).then(
      () => {
        takenBack++;
      },
      ({ code }) => void (code === 'NOT_NOW' || code === 'CONFIG_INVALID' || expect.unreachable(`${code}: ${seed}`)),
    );
  const someone = (): Actor | undefined => actors[pick(actors.length)];
  const actions: (() => unknown)[] = [
    () => join(1 + pick(30)),
    () => join(pick(8) === 0 ? 1e7 : 500), // frozen, or a hundred times slower than the others
    () => {
      const actor = someone();
      say(`line of peer ${actors.indexOf(actor!)} is cut`);
      actor?.line.channel?.close('cut');
    },
    () => {
      const actor = someone();
      if (actor === undefined || actors.filter(({ left }) => !left).length < 2) return;
      say(`peer ${actors.indexOf(actor)} leaves`);
      actor.left = true;
      actor.participant.stop();
    },
    () => {
      say('a replica is corrupted');
      s.replicas[pick(s.replicas.length)]?.corrupt();
    },
    () => {
      const actor = someone();
      const { slot } = s.host.view().peers.find(({ name }) => name === `peer ${actors.indexOf(actor!)}`) ?? {};
      if (actor === undefined || slot === undefined || actors.filter(({ left }) => !left).length < 2) return;
      say(`peer ${actors.indexOf(actor)} is revoked`);
      actor.left = true;
      void takeBack({ type: 'revoke', slot, from: pick(2) * pick(4), reason: 'test' });
    },
    () => {
      const round = pick(s.host.view().round + 1);
      say(`the run is rewound to round ${round}`);
      void takeBack({ type: 'rewind', round });
    },
    async () => {
      say('the host dies');
      restarts++;
      s.host.abort();
      await s.restart();
    },
  ];

  join(1 + pick(10));
  join(1 + pick(10));
  for (let i = pick(12); i > 0; i--) {
    await s.clock.advance(random() * 800);
    await actions[pick(actions.length)]!();
  }
  // Two sound peers see it to its end.
  join(2);
  join(3);

  const ended = settledFlag(s.host.finished);
  const context = (): string => `seed ${seed}\n${log.join('\n')}\n${JSON.stringify(s.host.view().peers)}`;
  expect(await s.clock.until(ended, LIMIT_MS), `the run ends: ${context()}`).toBe(true);
  const outcome = await s.host.finished;
  expect(outcome.reason, context()).toBe('done');

  const { records } = verifyJournal(await s.journal.read(), fakeCrypto);
  const entries = records.map(({ entry }) => entry);
  const ledger = ledgerOf(entries);
  expect(ledger.round).toBe(manifest.max_steps);
  const again = fakeReplica(fakeClock());
  for (const round of roundsOf(entries)) {
    expect(round.header.usable, context()).toBeGreaterThan(0);
    await again.apply([round]);
    const digest = ledger.digests.get(again.round());
    if (digest !== undefined) expect(toHex(await again.root()), context()).toBe(toHex(digest));
  }
  expect(outcome.root).toBe(toHex(await again.root()));

  // Peers hear of the end, or never hear of the host again.
  const results = Promise.allSettled(actors.map(({ participant }) => participant.finished));
  expect(await s.clock.until(settledFlag(results), 1e9), `peers end: ${context()}`).toBe(true);
  let done = 0;
  for (const [i, result] of (await results).entries()) {
    if (result.status === 'fulfilled') {
      if (result.value.reason === 'done') {
        done++;
        expect(result.value.root, `peer ${i}: ${context()}`).toBe(outcome.root);
      }
    } else
      expect(result.reason.code, `peer ${i}: ${result.reason.message} ${context()}`).toMatch(
        /^HOST_UNREACHABLE|EVICTED$/,
      );
  }
  expect(done, context()).toBeGreaterThanOrEqual(1);
  return { restarts, takenBack, log };
}

test(`${SEEDS} swarms with random deaths end with equal weights`, { timeout: 120_000 }, async () => {
  let [restarts, takenBack] = [0, 0];
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    const run = await simulate(seed);
    restarts += run.restarts;
    takenBack += run.takenBack;
  }
  expect(restarts, 'the host died now and then').toBeGreaterThan(SEEDS / 10);
  expect(takenBack, 'something was taken back now and then').toBeGreaterThan(SEEDS / 10);
});

test('the same seed gives the same history', async () => {
  expect((await simulate(5)).log).toEqual((await simulate(5)).log);
});
