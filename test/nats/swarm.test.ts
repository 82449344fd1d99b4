import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { toHex } from '../../src/numeric/bytes.ts';
import { parseNatsLink, parseStore } from '../../src/peer/link.ts';
import { connectNats } from '../../src/peer/node/nats.ts';
import { KEY_FILE } from '../../src/peer/node/run-folder.ts';
import { systemEntropy } from '../../src/peer/node/system.ts';
import { eventually, type Line, type Running } from '../swarm/processes.ts';
import {
  atRound,
  checksumsOf,
  journalOf,
  linkOf,
  type Place,
  place,
  RUNNABLE,
  resultOf,
  type Settings,
} from '../swarm/run.ts';
import { HAS_SERVER, type Servers, startServers } from './servers.ts';

const LONG = { timeout: 300_000 };
const SETTINGS: Settings = { peers: 0, min_peers: 2, per_device_train_batch_size: 4 };

/** Coordinators of one run, each with a folder and a copy of the key. */
function coordinators(at: Place, servers: Servers, settings: Settings) {
  const key = toHex(systemEntropy(32));
  return (name: string): Running & { readonly out: string } => {
    const out = join(at.folder, name);
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, KEY_FILE), key, { mode: 0o600 });
    return { ...at.host({ ...SETTINGS, ...settings, store: servers.store, output_dir: out, name }), out };
  };
}

const leads = ({ event, state }: Line): boolean => event === 'lease' && state === 'leading';
const follows = ({ event, state }: Line): boolean => event === 'lease' && state === 'following';

/** Of a peer that takes the base from this machine. */
const join_ = (at: Place, link: string, name: string, out: string): Running => ({
  ...at.run(
    'join',
    link,
    '--name',
    name,
    '--key',
    join(at.folder, `${name}.key`),
    '--threads',
    '1',
    '--files',
    join(out, 'files.json'),
  ),
});

const settled = async (last: Running, peers: readonly Running[], at: Place, out: string): Promise<string> => {
  const [result, ...others] = await Promise.all([last, ...peers].map(resultOf));
  const digest = String(result!['digest']);
  expect(others.map((line) => [line['reason'], line['digest']])).toEqual(others.map(() => ['done', digest]));
  expect(await resultOf(at.run('verify', out))).toMatchObject({ journal: 'valid', weights: 'equal', digest });
  const [one, two] = peers.map(checksumsOf);
  for (const [round, checksum] of one!) if (two!.has(round)) expect(two!.get(round), `round ${round}`).toBe(checksum);
  return digest;
};

describe.skipIf(!HAS_SERVER || !RUNNABLE)('several coordinators on NATS', () => {
  let servers: Servers;
  afterEach(() => servers.stop());

  test(
    'three servers: the leading coordinator is killed, then the server that leads the stream; the run goes on',
    LONG,
    async () => {
      servers = await startServers(3);
      const at = place();
      const start = coordinators(at, servers, { max_steps: 130 });
      const first = start('first');
      await first.waitFor(leads);
      const link = await linkOf(first);
      const second = start('second');
      await second.waitFor(follows);
      const peers = [join_(at, link, 'one', first.out), join_(at, link, 'two', first.out)];
      await first.waitFor(atRound('round', 30));
      first.kill('SIGKILL');
      await first.exit();
      await second.waitFor(leads);
      await second.waitFor(({ event, round }) => event === 'round' && Number(round) > 45);

      for (const peer of peers) peer.kill('SIGSTOP'); // the run waits while its servers change
      const third = start('third');
      await third.waitFor(follows);
      const { run } = parseNatsLink(link);
      const nats = await connectNats(parseStore(servers.store), run);
      const leader = (await nats.jsm.streams.info(nats.names.stream)).cluster!.leader;
      await nats.connection.close();
      const told = second.lines.length;
      servers.servers.find(({ name }) => name === leader)!.kill();
      for (const peer of peers) peer.kill('SIGCONT');
      await second.waitFor((line) => second.lines.indexOf(line) >= told && atRound('round', 46)(line));

      const digest = await settled(second, peers, at, second.out);
      // Everything that the first coordinator said was committed still is, byte for byte.
      const [past, now] = [journalOf(first.out), journalOf(second.out)];
      expect(now.bytes.subarray(0, past.bytes.length)).toEqual(past.bytes);
      expect(past.rounds.length).toBeGreaterThanOrEqual(30);
      for (const { lines } of peers)
        expect(lines.filter(({ event }) => event === 'disconnected').length).toBeGreaterThan(0);

      // Whoever stood by has it all, and learns how it ended.
      const late = await resultOf(third);
      expect(late['digest']).toBe(digest);
      expect(readFileSync(join(at.folder, 'third', 'journal.murmur'))).toEqual(Buffer.from(now.bytes));
    },
  );

  test('a coordinator that was frozen finds that another leads, and stands by', LONG, async () => {
    servers = await startServers(1);
    const at = place();
    const start = coordinators(at, servers, { max_steps: 100 });
    const first = start('first');
    await first.waitFor(leads);
    const link = await linkOf(first);
    const next = start('second');
    await next.waitFor(follows);
    const peers = [join_(at, link, 'one', first.out), join_(at, link, 'two', first.out)];
    await first.waitFor(atRound('round', 20));
    first.kill('SIGSTOP');
    await next.waitFor(leads);
    await next.waitFor(({ event }) => event === 'round');
    first.kill('SIGCONT');
    await first.waitFor(({ event, state }) => event === 'lease' && state === 'ended');
    await first.waitFor(follows);
    const digest = await settled(next, peers, at, next.out);
    expect((await resultOf(first))['digest']).toBe(digest);
    await eventually('its copy is whole', () => journalOf(first.out).bytes.length === journalOf(next.out).bytes.length);
    expect(journalOf(first.out).bytes).toEqual(journalOf(next.out).bytes);
  });
});
