import { afterAll, beforeAll, describe } from 'vitest';
import { toHex } from '../../src/numeric/bytes.ts';
import { parseStore } from '../../src/peer/link.ts';
import { ensureStream, openLog } from '../../src/peer/nats/log.ts';
import { namesOf } from '../../src/peer/nats/names.ts';
import { type Nats, natsOf } from '../../src/peer/nats/nats.ts';
import { streamStore } from '../../src/peer/nats/store.ts';
import { connectNats } from '../../src/peer/node/nats.ts';
import { systemClock, systemEntropy } from '../../src/peer/node/system.ts';
import { storeSuite } from '../suites/store.ts';
import { HAS_SERVER, type Servers, startServer } from './servers.ts';

describe.skipIf(!HAS_SERVER)('a stream of JetStream', () => {
  let servers: Servers;
  let base: Nats;
  beforeAll(async () => {
    servers = await startServer();
    base = await connectNats(parseStore(servers.store), '0'.repeat(12));
  });
  afterAll(async () => {
    await base.connection.close();
    await servers.stop();
  });

  storeSuite('a subject of it', async () => {
    const names = namesOf(toHex(systemEntropy(6)));
    const nats = await natsOf(base.connection, names, { clock: systemClock, entropy: systemEntropy });
    await ensureStream(nats);
    const open = async () => streamStore(await openLog(nats, 'me'), names.log.journal, 100_000);
    return { store: await open(), reopen: open };
  });
});
