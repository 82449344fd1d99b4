import { describe, expect, test } from 'vitest';
import type { PeerMessage } from '../../src/nouns.ts';
import { equalBytes } from '../../src/numeric/bytes.ts';
import type { ChannelEvents } from '../../src/ports.ts';
import { PROTOCOL_VERSION } from '../../src/wire/limits.ts';
import { decodeHostMessage, encodePeerMessage } from '../../src/wire/messages.ts';
import { challengeMessage, contributionMessage } from '../../src/wire/signed.ts';
import { fakeCrypto, secretOf } from './fake.ts';
import { type Swarm, settledFlag, swarm } from './swarm.ts';

/** A peer that says what a test wants it to. */
async function puppet(s: Swarm, number = 0) {
  const secret = secretOf(number);
  const key = fakeCrypto.publicKey(secret);
  const heard: ReturnType<typeof decodeHostMessage>[] = [];
  let end: string | undefined;
  const events: ChannelEvents = {
    frame: (bytes) => heard.push(decodeHostMessage(bytes)),
    closed: (reason) => {
      end = reason;
    },
  };
  const channel = await s.network().dial(s.host.address, events);
  const self = {
    key,
    secret,
    heard,
    get end() {
      return end;
    },
    raw: (bytes: Uint8Array) => channel.send(bytes),
    send: (message: PeerMessage) => channel.send(encodePeerMessage(message)),
    /** What the host last refused, after it had time to. */
    async refusal(): Promise<string | undefined> {
      await s.clock.advance(100);
      const last = heard.findLast((message) => message.type === 'refused');
      return last?.type === 'refused' ? last.code : undefined;
    },
    async until(type: (typeof heard)[number]['type']) {
      expect(await s.clock.until(() => heard.some((message) => message.type === type), 10_000), type).toBe(true);
      return heard.findLast((message) => message.type === type)!;
    },
    hello: (fields: Partial<Extract<PeerMessage, { type: 'hello' }>> = {}) =>
      self.send({ type: 'hello', version: PROTOCOL_VERSION, key, code: 'open sesame', name: 'puppet', ...fields }),
    async prove() {
      const challenge = await self.until('challenge');
      if (challenge.type !== 'challenge') return;
      const signed = challengeMessage(challenge.nonce, challenge.run, key);
      self.send({ type: 'prove', signature: fakeCrypto.sign(secret, signed) });
    },
    async admitted() {
      self.hello();
      await self.prove();
      await self.until('admitted');
      return self;
    },
    /** Has an assignment. */
    async assigned() {
      await self.admitted();
      const { round } = s.host.view();
      self.send({ type: 'ready', round, checksum: await s.hostChecksum() });
      const open = await self.until('open');
      if (open.type !== 'open') throw new RangeError('not open');
      return open;
    },
    contribute(round: number, from: number, codes: Int8Array, signer = secret) {
      const { run, anchor } = s.journal.position;
      const signature = fakeCrypto.sign(signer, contributionMessage(run!, round, anchor, from, codes));
      self.send({ type: 'contribution', round, from, codes, signature });
    },
  };
  return self;
}

const GARBAGE = Uint8Array.from({ length: 200 }, (_, i) => (i * 97 + 13) & 255);

describe('at the door', () => {
  test.each<[string, (p: Awaited<ReturnType<typeof puppet>>) => unknown, string]>([
    ['garbage', (p) => p.raw(GARBAGE), 'FRAME_INVALID'],
    ['an empty frame', (p) => p.raw(new Uint8Array(0)), 'FRAME_INVALID'],
    ['another version', (p) => p.raw(Uint8Array.of(1, 99, 0, 4)), 'VERSION_UNSUPPORTED'],
    ['a wrong code', (p) => p.hello({ code: 'open sesamE' }), 'CODE_WRONG'],
    ['a proof before a name', (p) => p.send({ type: 'prove', signature: new Uint8Array(64) }), 'MESSAGE_UNEXPECTED'],
    [
      'work before a proof',
      (p) => p.send({ type: 'ready', round: 0, checksum: new Uint8Array(8) }),
      'MESSAGE_UNEXPECTED',
    ],
    [
      'two names',
      (p) => {
        p.hello();
        p.hello();
      },
      'MESSAGE_UNEXPECTED',
    ],
    [
      'a false proof',
      (p) => {
        p.hello();
        p.send({ type: 'prove', signature: new Uint8Array(64) });
      },
      'SIGNATURE_WRONG',
    ],
  ])('%s is refused, and nobody is admitted for it', async (_, act, code) => {
    const s = await swarm();
    const p = await puppet(s);
    act(p);
    expect(await p.refusal()).toBe(code);
    expect(p.end).toBe(code);
    expect(s.host.view().peers).toEqual([]);
  });

  test('whoever says nothing is closed in time; challenges are never the same', async () => {
    const s = await swarm();
    const [silent, p, q] = [await puppet(s), await puppet(s, 1), await puppet(s, 2)];
    p.hello();
    q.hello();
    const [a, b] = [await p.until('challenge'), await q.until('challenge')];
    if (a.type === 'challenge' && b.type === 'challenge') expect(equalBytes(a.nonce, b.nonce)).toBe(false);
    expect(silent.end).toBeUndefined();
    await s.clock.advance(11_000);
    expect(silent.end).toBe('MESSAGE_UNEXPECTED');
    expect(p.end).toBe('MESSAGE_UNEXPECTED');
  });

  test('a name that would break a terminal is refused', async () => {
    const s = await swarm();
    const p = await puppet(s);
    const frame = encodePeerMessage({
      type: 'hello',
      version: PROTOCOL_VERSION,
      key: p.key,
      code: 'open sesame',
      name: 'x~~~~y',
    });
    frame[frame.lastIndexOf(0x7e)] = 0x1b;
    p.raw(frame);
    expect(await p.refusal()).toBe('FRAME_INVALID');
  });
});

describe('inside', () => {
  test('garbage closes only its sender, is written down against its key, and the third time ends in an eviction', async () => {
    const s = await swarm();
    const sound = s.join(7, { msPerRecord: 50 });
    await s.clock.until(() => s.host.view().round > 0, 10_000);
    for (const expected of ['gone', 'gone', 'evicted']) {
      const p = await (await puppet(s)).admitted();
      p.raw(GARBAGE);
      expect(await p.refusal()).toBe('FRAME_INVALID');
      expect(s.host.view().peers.find(({ name }) => name === 'puppet')!.state).toBe(expected);
    }
    const p = await puppet(s);
    p.hello();
    await p.prove();
    expect(await p.refusal()).toBe('EVICTED');
    await s.clock.until(settledFlag(sound.finished), 600_000);
    expect((await sound.finished).reason).toBe('done');
  });

  test('a contribution signed with another key, or for another history, is refused', async () => {
    const s = await swarm();
    const p = await puppet(s);
    const { round, from } = await p.assigned();
    p.contribute(round, from, Int8Array.of(1), secretOf(5));
    expect(await p.refusal()).toBe('SIGNATURE_WRONG');
    expect(s.journal.position.state!.rounds).toBe(0);
  });

  test('a replay into another round, range, slot or run is refused, each by its code', async () => {
    const s = await swarm();
    const honest = await puppet(s, 1);
    const first = await honest.assigned();
    const codes = new Int8Array(first.count).fill(5);
    const { run, anchor } = s.journal.position;
    const sign = (message: Uint8Array): Uint8Array => fakeCrypto.sign(honest.secret, message);
    const signed = sign(contributionMessage(run!, first.round, anchor, first.from, codes));
    const sound = { type: 'contribution', round: first.round, from: first.from, codes, signature: signed } as const;
    honest.send(sound);
    await honest.until('receipt');
    await honest.until('commit');
    // As it was, a round later: too late, and no offence.
    honest.send(sound);
    expect(await honest.refusal()).toBe('CONTRIBUTION_STALE');
    expect(honest.end).toBeUndefined();

    const next = s.journal.position;
    const offences: readonly [string, PeerMessage, number][] = [
      ['another round', { ...sound, round: first.round + 1 }, 1],
      [
        'another range',
        {
          ...sound,
          round: first.round + 1,
          from: 1,
          signature: sign(contributionMessage(run!, 1, next.anchor, 0, codes)),
        },
        1,
      ],
      [
        'another slot',
        { ...sound, round: first.round + 1, signature: sign(contributionMessage(run!, 1, next.anchor, 0, codes)) },
        2,
      ],
      [
        'another run',
        {
          ...sound,
          round: first.round + 1,
          signature: sign(contributionMessage(next.anchor, 1, next.anchor, 0, codes)),
        },
        3,
      ],
    ];
    for (const [name, message, number] of offences) {
      const p = await (await puppet(s, number)).admitted();
      p.send(message);
      expect(await p.refusal(), name).toBe('SIGNATURE_WRONG');
    }
    expect(s.journal.position.state!.rounds).toBe(1);
  });

  test('a proof of one connection is none in another', async () => {
    const s = await swarm();
    const p = await puppet(s);
    p.hello();
    const challenge = await p.until('challenge');
    if (challenge.type !== 'challenge') return;
    const signature = fakeCrypto.sign(p.secret, challengeMessage(challenge.nonce, challenge.run, p.key));
    const thief = await puppet(s);
    thief.hello();
    await thief.until('challenge');
    thief.send({ type: 'prove', signature });
    expect(await thief.refusal()).toBe('SIGNATURE_WRONG');
  });

  test('a contribution is receipted over its own octets, then committed', async () => {
    const s = await swarm();
    const p = await puppet(s);
    const { round, from, count } = await p.assigned();
    const codes = new Int8Array(count).fill(-3);
    p.contribute(round, from, codes);
    expect(await p.until('receipt')).toMatchObject({ round, from, count });
    await p.until('commit');
    expect(s.journal.records.at(-1)!.entry).toMatchObject({
      type: 'round',
      round: { segments: [{ slot: 0, from, codes }] },
    });
  });

  test('a flood is cut off', async () => {
    const s = await swarm();
    const p = await (await puppet(s)).admitted();
    // All in one instant: the sequencer has no turn between them.
    for (let i = 0; i < 5000; i++) p.send({ type: 'checksum', round: 0, checksum: new Uint8Array(8) });
    expect(['TOO_FAST', 'MESSAGE_UNEXPECTED', 'DRIFT']).toContain(await p.refusal());
  });

  test('what peers say and hear is counted', async () => {
    const s = await swarm();
    const p = await puppet(s);
    const { round, from, count } = await p.assigned();
    const before = s.host.traffic();
    p.contribute(round, from, new Int8Array(count));
    await p.until('receipt');
    await s.clock.advance(100);
    const { payload, wire } = s.host.traffic();
    expect(payload - before.payload).toBeGreaterThan(count + 64 + 64);
    expect(wire).toBe(payload); // the memory transport adds nothing
    expect([...s.host.view().traffic.keys()]).toEqual([0]);
  });
});
