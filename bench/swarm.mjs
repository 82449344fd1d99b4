/**
 * `npm run bench:swarm`: how many peers one coordinator serves. One process is the host, with its journal in a file that is
 * synced; others are many light peers each, which answer at once, over WebSocket.
 *
 *     npm run bench:swarm -- --peers 10,100,1000 --records 1,8 --rounds 30
 *
 * @module
 */
import { fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUILD, flagsOf, median, report, spread } from './harness.mjs';

const given = flagsOf({ peers: [10, 100, 1000], records: [1, 8], rounds: 30, processes: 2 });

/** Rounds before this one compile the code and fill caches. */
const SETTLED = 10;

/** A process, and the messages that it sends. */
function start(name, options) {
  const child = fork(fileURLToPath(new URL(`./swarm/${name}.mjs`, import.meta.url)), [JSON.stringify(options)]);
  const waiting = [];
  const messages = [];
  child.on('message', (message) => {
    const next = waiting.shift();
    if (next) next.resolve(message);
    else messages.push(message);
  });
  child.on('exit', (code) => {
    for (const { reject } of waiting) reject(new TypeError(`${name} ended with ${code}`));
  });
  const next = () =>
    messages.length > 0
      ? Promise.resolve(messages.shift())
      : new Promise((resolve, reject) => void waiting.push({ resolve, reject }));
  return { child, next };
}

const part = (values, p) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(p * values.length))];

async function swarm(peers, records) {
  mkdirSync(BUILD, { recursive: true });
  const folder = mkdtempSync(join(BUILD, 'swarm-'));
  const rounds = SETTLED + given.rounds;
  const children = [];
  try {
    const host = start('host', { folder, peers, records, rounds, settled: SETTLED });
    children.push(host.child);
    const { address, run } = await host.next();
    const processes = Math.min(given.processes, peers);
    const share = Math.ceil(peers / processes);
    const light = Array.from({ length: processes }, (_, i) => {
      const count = Math.min(share, peers - i * share);
      return start('peers', { address, run, first: i * share, count, settled: SETTLED });
    });
    children.push(...light.map(({ child }) => child));
    const [{ moments, disk, highest }, ...told] = await Promise.all([host.next(), ...light.map(({ next }) => next())]);

    const { start: began, joined, from, to } = moments;
    const cpu = (a, b) => b.cpu.user + b.cpu.system - a.cpu.user - a.cpu.system;
    const receipts = told.flatMap((one) => one.receipts);
    const last = new Map();
    for (const { sent } of told) for (const [round, at] of sent) last.set(round, Math.max(at, last.get(round) ?? 0));
    const commits = told.flatMap(({ heard }) => heard.flatMap(([round, at]) => at.map((ms) => ms - last.get(round))));
    const all = given.rounds * peers * records;
    return {
      ...{ peers, 'records a peer': records },
      'rounds/s': given.rounds / ((to.at - from.at) / 1000),
      'receipt, ms: p50': median(receipts),
      'receipt p99': part(receipts, 0.99),
      'commit, ms: p50': median(commits),
      'commit p99': part(commits, 0.99),
      'disk a round, ms': spread(disk),
      'CPU of the host a record, µs': cpu(from, to) / all,
      'a peer and round, µs': cpu(from, to) / (given.rounds * peers),
      'cores of the host': cpu(from, to) / 1000 / (to.at - from.at),
      'bytes a peer and round': (to.wire - from.wire) / (given.rounds * peers),
      'journal a record, bytes': (to.journal - from.journal) / all,
      'RSS, MB': highest / 1e6,
      'RSS without peers': began.rss / 1e6,
      'joining, CPU ms a peer': cpu(began, joined) / 1000 / peers,
    };
  } finally {
    for (const child of children) child.kill();
    rmSync(folder, { recursive: true });
  }
}

const rows = [];
for (const records of given.records) for (const peers of given.peers) rows.push(await swarm(peers, records));
report(given, {
  name: 'swarm',
  question: 'How many peers one coordinator serves: peers that answer at once, on the machine of the host.',
  tables: [
    {
      title: `${given.rounds} rounds after the first ${SETTLED}; the host in one process, peers in ${given.processes}, all on this machine`,
      rows,
      notes: [
        'Receipt: from sending a contribution to hearing its receipt, which comes after a sync. Commit: from the last contribution of a round, of all peers, to hearing the commit. Peers and host share the cores, so latencies hold what the peers take to sign, and to hear a thousand frames on one core; CPU is the host process alone. Bytes are those of the sockets, both ways: assignment, contribution, receipt, commit and checksum.',
        'The host is as `murmur train` has it, but for the replica, which holds no weights.',
      ],
    },
  ],
});
