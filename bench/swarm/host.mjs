/**
 * The coordinator of `bench:swarm` in a process of its own: the real host behind the real sockets, journal and pending
 * contributions in files that are synced, and a replica that holds no weights: a model would be measured by `bench:apply`.
 *
 * @module
 */
import { join } from 'node:path';
import { openJournal } from '../../dist/journal/journal.js';
import { toHex } from '../../dist/numeric/bytes.js';
import { startHost } from '../../dist/peer/host.js';
import { nodeCrypto } from '../../dist/peer/node/crypto.js';
import { openFileStore } from '../../dist/peer/node/store.js';
import { systemClock, systemEntropy } from '../../dist/peer/node/system.js';
import { webSocketTransport } from '../../dist/peer/node/transport-websocket.js';

const { folder, peers, records, rounds, settled } = JSON.parse(process.argv[2]);
const secret = new Uint8Array(32).fill(9);
const file = (path) => ({ path, bytes: 3, sha256: '11'.repeat(32) });

const journal = await openJournal(await openFileStore(join(folder, 'journal.bin')), nodeCrypto, secret);
await journal.append({
  type: 'manifest',
  manifest: {
    ...{ format: 1, numbers: 1, base: { name: 'none', files: [file('model.safetensors')] }, view: 'full' },
    ...{ method: 'onebyte', direction: { kind: 'lowrank', rank: 1, scale: 1 }, eps: 1e-3, learning_rate: 1e-3 },
    ...{ lr_scheduler_type: 'constant', warmup_steps: 0, max_steps: rounds, reduction: 'mean' },
    ...{ records_per_round: records * peers, samples_per_record: 1, initial_scale: 1000, clip: 127 },
    ...{ task: { kind: 'lm', window: 8 }, data: { train: file('train.txt'), eval_fraction: 0.1 } },
    ...{ seed: 0, forward_precision: 'f32', coordinator: toHex(nodeCrypto.publicKey(secret)) },
  },
});
const pending = await openFileStore(join(folder, 'pending.bin'));

let applied = 0;
const replica = {
  round: () => applied,
  async apply(committed) {
    applied += committed.length;
  },
  evaluate: async () => ({ 'eval/loss': 1 }),
  checksum: async () => new Uint8Array(8),
  root: async () => new Uint8Array(32),
  leaves: async () => [{ hash: new Uint8Array(32), bytes: 0 }],
  close: async () => undefined,
};

/** What is counted between two moments. */
const moment = () => ({
  ...{ at: performance.now(), cpu: process.cpuUsage(), wire: host?.traffic().wire ?? 0 },
  ...{ journal: journal.position.length, rss: process.memoryUsage().rss },
});
let host;
const moments = { start: moment() };
const disk = [];
let highest = 0;

host = await startHost({
  ...{ journal, pending, replica, secret, crypto: nodeCrypto, clock: systemClock, entropy: systemEntropy },
  ...{ joinCode: 'bench', minPeers: peers, evalSteps: rounds },
  transport: webSocketTransport({
    async request(_, response) {
      response.end(await journal.read());
    },
  }),
  onEvent(event) {
    if (event.event === 'phase' && event.phase === 'measuring') moments.joined ??= moment();
    if (event.event !== 'round') return;
    highest = Math.max(highest, process.memoryUsage().rss);
    if (event.round === settled) moments.from = moment();
    if (event.round > settled) disk.push(event.disk_ms);
    if (event.round === rounds) moments.to = moment();
  },
});
process.send({ address: host.address, run: toHex(journal.position.run) });
const { round } = await host.finished;
process.send({ moments, disk, highest, round });
await journal.close();
await pending.close();
