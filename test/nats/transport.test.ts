import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseStore } from '../../src/peer/link.ts';
import { namesOf } from '../../src/peer/nats/names.ts';
import { type Nats, natsOf } from '../../src/peer/nats/nats.ts';
import { natsDialler, natsListener } from '../../src/peer/nats/transport.ts';
import { connectNats } from '../../src/peer/node/nats.ts';
import { systemClock, systemEntropy } from '../../src/peer/node/system.ts';
import type { Transport } from '../../src/ports.ts';
import { ear, transportSuite } from '../suites/transport.ts';
import { eventually } from '../swarm/processes.ts';
import { HAS_SERVER, type Servers, startServer } from './servers.ts';

describe.skipIf(!HAS_SERVER)('channels over NATS', () => {
  let servers: Servers;
  let ours: Nats;
  let theirs: Nats;
  beforeAll(async () => {
    servers = await startServer();
    [ours, theirs] = await Promise.all(
      [0, 1].map(() => connectNats(parseStore(servers.store), '0'.repeat(12))) as [Promise<Nats>, Promise<Nats>],
    );
  });
  afterAll(async () => {
    for (const { connection } of [ours, theirs]) await connection.close();
    await servers.stop();
  });

  let runs = 0;
  const nameless = async (nats: Nats, run: number): Promise<Nats> =>
    natsOf(nats.connection, namesOf(String(run).padStart(12, '0')), { clock: systemClock, entropy: systemEntropy });
  const never = (): Promise<never> => Promise.reject(new RangeError('not of this end'));

  let made: readonly [Nats, Nats];
  transportSuite('nats', () => {
    const run = ++runs;
    const lazy = (nats: () => Nats, of: (own: Nats) => Partial<Transport>): Transport => {
      let own: Promise<Transport> | undefined;
      const get = (): Promise<Transport> =>
        (own ??= nameless(nats(), run).then((named) => ({ listen: never, dial: never, close: never, ...of(named) })));
      return {
        listen: async (accept) => (await get()).listen(accept),
        dial: async (address, events) => (await get()).dial(address, events),
        close: async () => (await get()).close(),
      };
    };
    return [
      lazy(
        () => ours,
        (nats) => natsListener(nats, { me: 'leader', leads: () => true }),
      ),
      lazy(
        () => theirs,
        (nats) => natsDialler(nats),
      ),
    ];
  });

  async function pair(
    me: string,
  ): Promise<{ listener: ReturnType<typeof natsListener>; dialler: ReturnType<typeof natsDialler> }> {
    const run = ++runs;
    made = [await nameless(ours, run), await nameless(theirs, run)];
    return { listener: natsListener(made[0], { me, leads: () => true }), dialler: natsDialler(made[1]) };
  }

  test('a frame longer than the server takes comes in parts, and whole', async () => {
    const { listener, dialler } = await pair('one');
    const far = ear();
    const near = ear();
    let other: { send(frame: Uint8Array): void } | undefined;
    await listener.listen((channel) => {
      other = channel;
      return far;
    });
    const channel = await dialler.dial('', near);
    const frame = Uint8Array.from({ length: 1_048_585 }, (_, i) => i * 7);
    other!.send(frame);
    await near.until(() => near.frames.length === 1);
    expect(Buffer.compare(near.frames[0]!, frame)).toBe(0);
    channel.send(frame); // a peer may not
    await far.until(() => far.ends.length === 1);
    expect(far.ends).toEqual(['a frame is longer than 524322 bytes']);
    expect(far.frames).toEqual([]);
    await listener.close();
    await dialler.close();
  });

  test('a channel ends when another coordinator begins to lead', async () => {
    const { listener, dialler } = await pair('one');
    await listener.listen(() => ear());
    const near = ear();
    await dialler.dial('', near);
    const next = natsListener(made[0], { me: 'two', leads: () => true });
    await next.listen(() => ear());
    await near.until(() => near.ends.length === 1);
    expect(near.ends).toEqual(['another coordinator leads now']);
    for (const transport of [listener, next, dialler]) await transport.close();
  });

  test('where messages were lost both ends hear of it, and a frame on a channel that nobody knows is answered', async () => {
    const { listener, dialler } = await pair('one');
    const far = ear();
    await listener.listen(() => far);
    const near = ear();
    const { names, connection } = made[0];
    let id = '';
    const dials = connection.subscribe(names.dial, { callback: (_, message) => void (id = message.string()) });
    await connection.flush();
    const channel = await dialler.dial('', near);
    connection.publish(names.up(id), Uint8Array.of(0, 7, 0, 0, 0, 1)); // number 7 is the first to come
    await Promise.all([far.until(() => far.ends.length === 1), near.until(() => near.ends.length === 1)]);
    expect([far.ends, near.ends]).toEqual([['messages were lost on the way'], ['messages were lost on the way']]);

    const answers: string[] = [];
    const down = connection.subscribe(names.down('unknown8'), {
      callback: (_, { data }) => void answers.push(new TextDecoder().decode(data.subarray(5))),
    });
    for (const kind of [0, 2, 3]) connection.publish(names.up('unknown8'), Uint8Array.of(kind, 0, 0, 0, 0));
    await eventually('both are answered', () => answers.length === 2);
    await connection.flush();
    expect(answers).toEqual(Array(2).fill('the coordinator does not know this channel')); // none to a close
    channel.close('');
    for (const subscription of [dials, down]) subscription.unsubscribe();
    for (const transport of [listener, dialler]) await transport.close();
  });

  test('a coordinator that does not lead takes nobody', async () => {
    const { dialler } = await pair('one');
    const idle = natsListener(made[0], { me: 'idle', leads: () => false });
    let taken = 0;
    await idle.listen(() => {
      taken++;
      return ear();
    });
    const leading = natsListener(made[0], { me: 'leading', leads: () => true });
    await leading.listen(() => ear());
    await dialler.dial('', ear());
    expect(taken).toBe(0);
    for (const transport of [idle, leading, dialler]) await transport.close();
  });
});
