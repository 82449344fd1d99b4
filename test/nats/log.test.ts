import { describe, expect, test } from 'vitest';
import { openJournal } from '../../src/journal/journal.ts';
import { memoryStore } from '../../src/peer/memory-store.ts';
import { ensureStream, openLog } from '../../src/peer/nats/log.ts';
import { openMirror } from '../../src/peer/nats/mirror.ts';
import type { Nats } from '../../src/peer/nats/nats.ts';
import { streamStore } from '../../src/peer/nats/store.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { MANIFEST, SECRET } from '../journal/fixture.ts';
import { HAS_SERVER, runsOnOneServer } from './servers.ts';

describe.skipIf(!HAS_SERVER)('the stream of a run', () => {
  const newRun = runsOnOneServer();

  /** A stream of its own. */
  async function stream(): Promise<Nats> {
    const nats = await newRun();
    await ensureStream(nats);
    return nats;
  }
  const open = async (nats: Nats, subject: 'journal' | 'pending' = 'journal') =>
    streamStore(await openLog(nats, 'me'), nats.names.log[subject], 1000);

  test('a writer that was overtaken can add nothing and remove nothing', async () => {
    const nats = await stream();
    const [log, subject] = [await openLog(nats, 'one'), nats.names.log];
    const [oldJournal, oldPending] = [streamStore(log, subject.journal, 1000), streamStore(log, subject.pending, 1000)];
    await oldJournal.append(Uint8Array.of(1));
    const now = await openLog(nats, 'two');
    const [journal, pending] = [streamStore(now, subject.journal, 1000), streamStore(now, subject.pending, 1000)];
    await pending.append(Uint8Array.of(2));
    const lost = { code: 'LEASE_LOST' };
    await expect(oldJournal.append(Uint8Array.of(9))).rejects.toMatchObject(lost);
    await expect(oldPending.truncate(0)).rejects.toMatchObject(lost);
    await expect(oldJournal.sync()).rejects.toMatchObject(lost);
    await expect(oldJournal.read()).rejects.toMatchObject(lost);
    await journal.append(Uint8Array.of(3));
    expect([...(await journal.read())]).toEqual([1, 3]);
    expect([...(await pending.read())]).toEqual([2]);
  });

  test('an append whose answer was lost is there once, and the next one follows it', async () => {
    const nats = await stream();
    let lose = 0;
    const js = Object.create(nats.js, {
      publish: {
        async value(...args: Parameters<Nats['js']['publish']>) {
          const ack = await nats.js.publish(...args);
          if (lose-- > 0) throw new TypeError('the answer was lost');
          return ack;
        },
      },
    }) as Nats['js'];
    const store = await open({ ...nats, js });
    for (let i = 0; i < 5; i++) {
      lose = i % 3;
      await store.append(Uint8Array.of(i));
    }
    await store.sync();
    expect([...(await store.read())]).toEqual([0, 1, 2, 3, 4]);
  });

  test('one that is retried after the servers forgot its id is still there once', async () => {
    const nats = await stream();
    let lose = true;
    const js = Object.create(nats.js, {
      publish: {
        async value(subject: string, data: Uint8Array, options: { msgID: string; expect?: object }) {
          // Published under its id, then again without one: as if the ids had been forgotten in between.
          if (!lose || options.expect === undefined) return nats.js.publish(subject, data, options);
          lose = false;
          await nats.js.publish(subject, data, options);
          const { msgID, ...rest } = options;
          return nats.js.publish(subject, data, rest);
        },
      },
    }) as Nats['js'];
    const store = await open({ ...nats, js });
    await store.append(Uint8Array.of(7));
    await store.append(Uint8Array.of(8));
    expect([...(await store.read())]).toEqual([7, 8]);
  });

  test('what was stopped throws, also what is waiting for servers that are away', async () => {
    const nats = await stream();
    const js = Object.create(nats.js, { publish: { value: nats.js.publish.bind(nats.js), writable: true } }) as {
      publish: Nats['js']['publish'];
    };
    const log = await openLog({ ...nats, js: js as Nats['js'] }, 'one');
    js.publish = () => Promise.reject(new TypeError('away'));
    const waiting = log.append(nats.names.log.journal, Uint8Array.of(1));
    const { Fault } = await import('../../src/faults.ts');
    log.stop(new Fault('LEASE_LOST', 'over'));
    await expect(waiting).rejects.toMatchObject({ code: 'LEASE_LOST' });
    await expect(log.flush()).rejects.toMatchObject({ code: 'LEASE_LOST' });
  });

  test('a copy follows, over cuts, and tells what the journal says', async () => {
    const nats = await stream();
    const [file, store] = [memoryStore(), await open(nats)];
    const mirror = await openMirror(nats, file, nodeCrypto);
    expect(mirror.ledger()).toBeUndefined();
    const journal = await openJournal(store, nodeCrypto, SECRET);
    await journal.append({ type: 'manifest', manifest: MANIFEST });
    const { length } = journal.position;
    await store.append(Uint8Array.of(1, 2, 3)); // torn
    await mirror.follow();
    expect((await file.read()).length).toBe(length + 3);
    await store.truncate(length);
    await journal.append({ type: 'evaluation', round: 0, slot: 0xffff_fffd, metrics: { 'eval/loss': 2 } });
    await mirror.follow();
    expect(await file.read()).toEqual(await store.read());
    expect(mirror.ledger()?.evaluated.get(0)).toEqual({ 'eval/loss': 2 });
  });

  test('a folder that is ahead is taken over; one with another history is refused', async () => {
    const nats = await stream();
    const alone = memoryStore();
    const journal = await openJournal(alone, nodeCrypto, SECRET);
    await journal.append({ type: 'manifest', manifest: MANIFEST });
    await alone.append(Uint8Array.of(90)); // torn
    const mirror = await openMirror(nats, alone, nodeCrypto);
    expect(mirror.ahead).toEqual((await alone.read()).subarray(0, journal.position.length));
    const store = await open(nats);
    await store.append(mirror.ahead);
    const evaluation = (loss: number) =>
      ({ type: 'evaluation', round: 0, slot: 0xffff_fffd, metrics: { 'eval/loss': loss } }) as const;
    await (await openJournal(store, nodeCrypto, SECRET)).append(evaluation(2));
    await (await openJournal(alone, nodeCrypto, SECRET)).append(evaluation(3));
    await expect(openMirror(nats, alone, nodeCrypto)).rejects.toMatchObject({ code: 'JOURNAL_FORKED' });
    const torn = memoryStore((await store.read()).subarray(0, journal.position.length + 9));
    await openMirror(nats, torn, nodeCrypto);
    expect(await torn.read()).toEqual(await store.read());
  });
});
