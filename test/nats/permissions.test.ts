import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { parseNatsLink } from '../../src/peer/link.ts';
import { connectNats } from '../../src/peer/node/nats.ts';
import { linkOf, place, RUNNABLE, resultOf } from '../swarm/run.ts';
import { HAS_SERVER, type Servers, startServer } from './servers.ts';

/** The accounts of docs/DEPLOY.md, with passwords in place of variables. */
const ACCOUNTS = (/```conf accounts\n([\s\S]*?)```/.exec(readFileSync('docs/DEPLOY.md', 'utf8'))?.[1] ?? '')
  .replaceAll('$COORDINATOR', '"c-secret"')
  .replaceAll('$PEER', '"p-secret"');

describe.skipIf(!HAS_SERVER || !RUNNABLE)('the accounts of docs/DEPLOY.md', () => {
  let servers: Servers;
  afterEach(() => servers.stop());

  test('let a peer take part, and write nothing that is a coordinator’s to write', { timeout: 120_000 }, async () => {
    servers = await startServer(ACCOUNTS);
    const at = place();
    mkdirSync(at.out, { recursive: true });
    const [, , host] = servers.store.split('/');
    const settings = { peers: 0, min_peers: 1, per_device_train_batch_size: 4, max_steps: 20 };
    const refused = await at.host({ ...settings, store: servers.store }).exit();
    expect(refused.stderr).toMatch(/^murmur: STORE_UNREACHABLE: NATS at [^\n]*check address and credentials\n$/);

    const coordinator = at.host({ ...settings, store: `nats://coordinator:c-secret@${host}` });
    const link = await linkOf(coordinator);
    expect(link).not.toContain('secret');
    const own = link.replace('nats://', 'nats://peer:p-secret@');
    const { run, ...there } = parseNatsLink(own);
    const nats = await connectNats(there, run);
    await expect(nats.js.publish(nats.names.log.journal, 'x')).rejects.toThrow();
    await expect(nats.jsm.streams.purge(nats.names.stream)).rejects.toThrow();
    await expect(nats.jsm.streams.delete(nats.names.stream)).rejects.toThrow();
    await expect(nats.connection.request(`$KV.${nats.names.lease}.leader`, 'x', { timeout: 500 })).rejects.toThrow();
    await nats.connection.close();

    // Nothing but the link: what it lacks it is given by the coordinator, as it may not read the object store.
    const peer = at.join(own, 'peer', { files: false });
    const [done, there_] = await Promise.all([resultOf(coordinator), resultOf(peer)]);
    expect(there_['digest']).toBe(done['digest']);
    expect(existsSync(join(at.folder, 'peer-cache', 'murmur', 'blobs'))).toBe(true);
  });
});
