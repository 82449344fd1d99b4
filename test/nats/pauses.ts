/**
 * How long a run on three servers and two coordinators stands still when a part of it dies, for `npm run study:nats`:
 * PAUSES_FOUND is a file to which a line of JSON is added for each death, PAUSES_REPEAT how often each is tried.
 */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { toHex } from '../../src/numeric/bytes.ts';
import { parseNatsLink, parseStore } from '../../src/peer/link.ts';
import { connectNats } from '../../src/peer/node/nats.ts';
import { KEY_FILE } from '../../src/peer/node/run-folder.ts';
import { systemEntropy } from '../../src/peer/node/system.ts';
import { type Line, murmur, type Running } from '../swarm/processes.ts';
import { atRound, journalOf, linkOf, place, resultOf } from '../swarm/run.ts';
import { type NatsServer, startServers } from './servers.ts';

interface Cluster {
  /** Coordinators: the one that leads, the one that stands by. */
  readonly leader: Running;
  readonly other: Running;
  /** Servers: the one that leads the stream, those that do not. */
  readonly head: NatsServer;
  readonly rest: readonly NatsServer[];
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What dies → how. */
const DEATHS: Readonly<Record<string, (cluster: Cluster) => Promise<void> | void>> = {
  'a server that does not lead the stream, `kill -9`': ({ rest }) => rest[0]!.kill(),
  'the server that leads the stream, `kill -9`': ({ head }) => head.kill(),
  'a coordinator that stands by, `kill -9`': ({ other }) => other.kill('SIGKILL'),
  'the leading coordinator, `kill -9`': ({ leader }) => leader.kill('SIGKILL'),
  'the leading coordinator, `Ctrl+C` once': ({ leader }) => leader.kill('SIGINT'),
  async 'the leading coordinator, frozen for 15 s'({ leader }) {
    leader.kill('SIGSTOP');
    await pause(15_000);
    leader.kill('SIGCONT');
  },
  async 'two of three servers, `kill -9`, back after 20 s'({ head, rest }) {
    const two = [head, rest[0]!];
    for (const server of two) server.kill();
    await pause(20_000);
    for (const server of two) server.revive();
  },
};

/** Rounds that are waited for before a death, and after it. */
const BEFORE = 60;
const AFTER = 60;
const ENDLESS = 1_000_000;
const leads = ({ event, state }: Line): boolean => event === 'lease' && state === 'leading';
const follows = ({ event, state }: Line): boolean => event === 'lease' && state === 'following';

/** When each round was heard of, ms, in order. */
const heard = ({ lines }: Running): number[] =>
  lines.filter(({ event }) => event === 'round').map((line) => Date.parse(String(line['time'])));

async function play(die: (cluster: Cluster) => Promise<void> | void): Promise<object> {
  const servers = await startServers(3);
  onTestFinished(servers.stop);
  const at = place();
  const key = toHex(systemEntropy(32));
  const start = (name: string): Running & { readonly out: string } => {
    const out = join(at.folder, name);
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, KEY_FILE), key, { mode: 0o600 });
    const settings = { peers: 0, min_peers: 2, per_device_train_batch_size: 4, max_steps: ENDLESS, guard: 'false' };
    return { ...at.host({ ...settings, store: servers.store, output_dir: out, name }), out };
  };
  const leader = start('first');
  await leader.waitFor(leads);
  const link = await linkOf(leader);
  const other = start('second');
  await other.waitFor(follows);
  const peers = ['one', 'two'].map((name) => {
    const own = ['--key', join(at.folder, `${name}.key`), '--files', join(leader.out, 'files.json')];
    return murmur(['join', link, '--name', name, '--threads', '1', ...own, '--json']);
  });
  const nats = await connectNats(parseStore(servers.store), parseNatsLink(link).run);
  const name = (await nats.jsm.streams.info(nats.names.stream)).cluster!.leader;
  await nats.connection.close();
  const [head, ...rest] = servers.servers.toSorted((a, b) => Number(b.name === name) - Number(a.name === name));
  await Promise.all(peers.map((peer) => peer.waitFor(atRound('round', BEFORE))));

  const before = heard(peers[0]!).length;
  await die({ leader, other, head: head!, rest });
  const last = Number(peers[0]!.lines.findLast(({ event }) => event === 'round')!['round']);
  await Promise.all(peers.map((peer) => peer.waitFor(atRound('round', last + AFTER), 180_000)));
  const times = heard(peers[0]!);
  const gaps = times.slice(1).map((time, i) => time - times[i]!);
  const longest = Math.max(...gaps.slice(before - 1));
  const usual = gaps.slice(0, before - 1).toSorted((a, b) => a - b)[Math.floor(before / 2)]!;

  for (const peer of peers) peer.kill('SIGKILL');
  for (const host of [leader, other]) host.kill('SIGINT');
  await Promise.all([leader.exit(), other.exit()]);
  // Whoever was killed has what there was until then; nobody has anything else.
  const [one, two] = [leader, other].map(({ out }) => journalOf(out).bytes);
  const common = Math.min(one!.length, two!.length);
  expect(Buffer.compare(one!.subarray(0, common), two!.subarray(0, common)), 'one history').toBe(0);
  for (const { out } of [leader, other])
    expect(await resultOf(at.run('verify', out))).toMatchObject({ journal: 'valid', weights: 'equal' });
  return { pause: longest, usual };
}

const { PAUSES_FOUND: found, PAUSES_REPEAT: repeat = '1' } = process.env;
for (const [what, die] of Object.entries(DEATHS))
  for (let run = 0; run < Number(repeat); run++)
    test(`${what}: the run goes on, and both copies of the journal are valid`, { timeout: 400_000 }, async () => {
      const measured = await play(die);
      if (found) appendFileSync(found, `${JSON.stringify({ what, ...measured })}\n`);
    });
