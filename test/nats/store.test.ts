import { describe } from 'vitest';
import { ensureStream, openLog } from '../../src/peer/nats/log.ts';
import { streamStore } from '../../src/peer/nats/store.ts';
import { storeSuite } from '../suites/store.ts';
import { HAS_SERVER, runsOnOneServer } from './servers.ts';

describe.skipIf(!HAS_SERVER)('a stream of JetStream', () => {
  const newRun = runsOnOneServer();

  storeSuite('a subject of it', async () => {
    const nats = await newRun();
    await ensureStream(nats);
    const open = async () => streamStore(await openLog(nats, 'me'), nats.names.log.journal, 100_000);
    return { store: await open(), reopen: open };
  });
});
