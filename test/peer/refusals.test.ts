/** Every refusal and every eviction is an event with a code, and is counted. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Fault, type FaultCode } from '../../src/faults.ts';
import type { HostMessage, PeerMessage } from '../../src/nouns.ts';
import { type Admission, oneCode } from '../../src/peer/admission.ts';
import { calmly } from '../../src/peer/calm.ts';
import { begin, step } from '../../src/peer/coordinator.ts';
import { MAX_STRANGERS } from '../../src/peer/door.ts';
import type { HostEvent } from '../../src/peer/events.ts';
import { openMetrics } from '../../src/peer/node/metrics.ts';
import type { Pass } from '../../src/peer/state.ts';
import { MAX_PEER_FRAME_BYTES, PROTOCOL_VERSION } from '../../src/wire/limits.ts';
import { decodeHostMessage, encodePeerMessage } from '../../src/wire/messages.ts';
import { challengeMessage, contributionMessage } from '../../src/wire/signed.ts';
import { begunJournal, fakeClock, fakeCrypto, MANIFEST, secretOf } from './fake.ts';
import { type Swarm, swarm } from './swarm.ts';

/** The codes between two comments of src/faults.ts. */
const GROUP = readFileSync('src/faults.ts', 'utf8').split('// frames and peers')[1]!.split('//')[0]!;
const CODES = [...GROUP.matchAll(/^ {2}([A-Z_]+):/gm)].map(([, code]) => code as FaultCode);

/** Driven by hand. */
async function guest(s: Swarm, number: number) {
  const secret: Uint8Array = new Uint8Array(32).fill(number + 1);
  secret[1] = number >> 8;
  const key = fakeCrypto.publicKey(secret);
  const heard: HostMessage[] = [];
  const channel = await s.network().dial(s.host.address, {
    frame: (bytes) => heard.push(decodeHostMessage(bytes)),
    closed: () => undefined,
  });
  const send = (message: PeerMessage): void => channel.send(encodePeerMessage(message));
  const until = async <T extends HostMessage['type']>(type: T): Promise<Extract<HostMessage, { type: T }>> => {
    const is = (message: HostMessage): message is Extract<HostMessage, { type: T }> => message.type === type;
    expect(await s.clock.until(() => heard.some(is), 10_000), type).toBe(true);
    return heard.findLast(is)!;
  };
  const self = {
    send,
    until,
    raw: (bytes: Uint8Array) => channel.send(bytes),
    hello: (code = 'open sesame') => send({ type: 'hello', version: PROTOCOL_VERSION, key, code, name: 'guest' }),
    prove: async (signer = secret) => {
      const { nonce, run } = await until('challenge');
      send({ type: 'prove', signature: fakeCrypto.sign(signer, challengeMessage(nonce, run, key)) });
    },
    async enter() {
      self.hello();
      await self.prove();
      await until('admitted');
      return self;
    },
    ready: async () => send({ type: 'ready', round: s.host.view().round, checksum: await s.hostChecksum() }),
    /** Has work. */
    async work() {
      await (await self.enter()).ready();
      return until('open');
    },
    contribute(round: number, from: number, codes: Int8Array) {
      const { run, anchor } = s.journal.position;
      const signature = fakeCrypto.sign(secret, contributionMessage(run!, round, anchor, from, codes));
      send({ type: 'contribution', round, from, codes, signature });
    },
  };
  return self;
}

const GARBAGE = new Uint8Array(9).fill(255);

/** How a host comes to say it. A code without a way is the other side's to say. */
const WAYS: Partial<Record<FaultCode, (s: Swarm) => Promise<unknown>>> = {
  CODE_WRONG: async (s) => (await guest(s, 0)).hello('sesame'),
  async CONTRIBUTION_DUPLICATE(s) {
    const [p, q] = [await guest(s, 0), await guest(s, 1)];
    for (const peer of [p, q]) await (await peer.enter()).ready(); // the round stays open for q
    const { round, from } = await p.until('open');
    for (const code of [1, 2]) p.contribute(round, from, Int8Array.of(code));
  },
  async CONTRIBUTION_RANGE(s) {
    const p = await guest(s, 0);
    const { round, from } = await p.work();
    p.contribute(round, from + 1, Int8Array.of(1));
  },
  async CONTRIBUTION_STALE(s) {
    const p = await guest(s, 0);
    const { round, from, count } = await p.work();
    p.contribute(round, from, new Int8Array(count));
    await p.until('commit');
    p.contribute(round, from, new Int8Array(count));
  },
  async EVICTED(s) {
    for (let strikes = 0; strikes < 3; strikes++) {
      const p = await (await guest(s, 0)).enter();
      p.raw(GARBAGE);
      await p.until('refused');
    }
    const p = await guest(s, 0);
    p.hello();
    await p.prove();
  },
  FRAME_INVALID: async (s) => (await guest(s, 0)).raw(GARBAGE),
  FRAME_TOO_LONG: async (s) => (await guest(s, 0)).raw(new Uint8Array(MAX_PEER_FRAME_BYTES + 1)),
  INVITE_USED: async (s) => (await guest(s, 0)).hello('INVITE_USED'),
  INVITE_WITHDRAWN: async (s) => (await guest(s, 0)).hello('INVITE_WITHDRAWN'),
  MESSAGE_UNEXPECTED: async (s) => (await guest(s, 0)).send({ type: 'prove', signature: new Uint8Array(64) }),
  NOT_ALLOWED: async (s) => (await guest(s, 0)).hello('NOT_ALLOWED'),
  REPLACED: async (s) => [await (await guest(s, 0)).enter(), await (await guest(s, 0)).enter()],
  async RUN_FULL(s) {
    for (let n = 0; n <= MAX_STRANGERS; n++) await guest(s, n);
  },
  async SIGNATURE_WRONG(s) {
    const p = await guest(s, 0);
    p.hello();
    await p.prove(secretOf(1));
  },
  async TOO_FAST(s) {
    const p = await (await guest(s, 0)).enter();
    const checksum = await s.hostChecksum();
    for (let n = 0; n < 200; n++) {
      p.send({ type: 'checksum', round: 0, checksum });
      if (n % 20 === 0) await s.clock.advance(20); // fewer at once than may wait
    }
  },
  VERSION_UNSUPPORTED: async (s) => (await guest(s, 0)).raw(Uint8Array.of(1, 99, 0, 4)),
};
/** Those of them that only peers say, that come out of audits (`audit.test.ts`), and out of an exchange of vectors, below. */
const ELSEWHERE: readonly FaultCode[] = ['AUDIT_FAILED', 'CENSORED', 'SHARE_INVALID'];

/** Refuses a code that is one of refusals by that, and lets in whom a run of one code lets in. */
const admission: Admission = (() => {
  const one = oneCode('open sesame', fakeCrypto);
  const decide = (code: string, key: Uint8Array): Pass => {
    if ((['INVITE_USED', 'INVITE_WITHDRAWN', 'NOT_ALLOWED'] as const).some((refusal) => refusal === code))
      throw new Fault(code as FaultCode, 'not you');
    return one.check(code, key);
  };
  return { ...one, check: decide, enter: decide };
})();

const metricsOf = (events: readonly HostEvent[]) => {
  const metrics = openMetrics(MANIFEST, 'ab', () => ({
    ...{ kind: 'live', may: [], phase: 'waiting', round: 0, max_steps: 9, journal_bytes: 0, peers: [] },
    bytes: { payload: 0, wire: 0 },
  }));
  for (const event of events) metrics.hear(event);
  return metrics.text().then(({ body }) => body);
};

test('each code of frames and peers has a way here', () => {
  expect([...Object.keys(WAYS), ...ELSEWHERE].sort()).toEqual([...CODES].sort());
});

test.each(Object.keys(WAYS) as FaultCode[])('%s is an event of the host, and counted', async (code) => {
  const s = await swarm(
    { ...MANIFEST, records_per_round: 8 },
    { admission, minPeers: code === 'CONTRIBUTION_DUPLICATE' ? 2 : 1 },
  );
  await WAYS[code]!(s);
  await s.clock.advance(100);
  expect(s.hostEvents).toContainEqual(
    expect.objectContaining({ event: 'refused', code, detail: expect.stringMatching(/\w/) }),
  );
  const evicted = s.hostEvents.filter(({ event }) => event === 'evicted');
  expect(evicted).toEqual(
    code === 'EVICTED' ? [{ event: 'evicted', slot: 0, code: 'FRAME_INVALID', reason: 'FRAME_INVALID' }] : [],
  );
  const text = await metricsOf(s.hostEvents);
  expect(text).toContain(`murmur_refusals_total{code="${code}"} 1\n`);
  expect(text.includes('murmur_evictions_total{code="FRAME_INVALID"} 1\n')).toBe(code === 'EVICTED');
});

test('SHARE_INVALID closes the connection, by that code', async () => {
  const entries = (await begunJournal()).records.map(({ entry }) => entry);
  const { state } = begin(entries, [], { minPeers: 1, evalSteps: 1 }, 0);
  const key = fakeCrypto.publicKey(secretOf(0));
  const admitted = step(state, { type: 'proved', channel: 3, key, name: 'p' }, 1).state;
  const { effects } = step(admitted, { type: 'violated', channel: 3, code: 'SHARE_INVALID', detail: 'no' }, 2);
  expect(effects).toContainEqual({ type: 'close', channel: 3, code: 'SHARE_INVALID', detail: 'no' });
});

test('a flood of refusals is told once a second, with how many there were; other events and codes do not wait', async () => {
  const clock = fakeClock();
  const told: HostEvent[] = [];
  const calm = calmly((event) => told.push(event), clock);
  const refused = (code: FaultCode, detail = 'no'): HostEvent => ({ event: 'refused', code, detail });
  for (let i = 0; i < 1000; i++) calm.hear(refused('CODE_WRONG', `${i}`));
  calm.hear(refused('FRAME_INVALID'));
  calm.hear({ event: 'phase', phase: 'done' });
  expect(told).toEqual([refused('CODE_WRONG', '0'), refused('FRAME_INVALID'), { event: 'phase', phase: 'done' }]);
  told.length = 0;
  await clock.advance(10_000);
  expect(told).toEqual([{ ...refused('CODE_WRONG', '999'), times: 999 }]);
  calm.hear(refused('CODE_WRONG', 'later'));
  calm.hear(refused('CODE_WRONG', 'held'));
  calm.close();
  expect(told.slice(1)).toEqual([refused('CODE_WRONG', 'later'), refused('CODE_WRONG', 'held')]);
  expect(await metricsOf(told)).toContain('murmur_refusals_total{code="CODE_WRONG"} 1001\n');
});
