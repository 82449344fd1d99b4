/**
 * A run of many peers in a world where everything goes wrong: the real host, sequencer and journal, light peers. At its end
 * the four invariants are looked at:
 *
 * 1. Same journal, same bits: every peer that is left has the weights of the journal, and so has a replay.
 * 2. Order is nothing: a replay with rounds and records in another order comes to the same; what was sent twice is in once.
 * 3. A byte is a byte: the journal has the very bytes that peers signed, one for each record, and counts them right.
 * 4. Bounded harm: the run ends; no round stays open for longer than its deadlines allow; what was receipted is
 *    committed, unless its peer was evicted on the record; what was committed is not written anew.
 */
import { type Journal, openJournal } from '../../src/journal/journal.ts';
import { verifyJournal } from '../../src/journal/reader.ts';
import type { Entry, Manifest, Round } from '../../src/nouns.ts';
import { equalBytes, toHex } from '../../src/numeric/bytes.ts';
import { type Host, startHost } from '../../src/peer/host.ts';
import { ledgerOf, roundsOf } from '../../src/peer/ledger.ts';
import { QUORUM } from '../../src/peer/pace.ts';
import type { Replica } from '../../src/peer/replica.ts';
import { entropyOf, HOST_SECRET, MANIFEST } from '../peer/fake.ts';
import { apply, chainOf, checksumOf, essence, type Known, rootOf, START, type Trunk, trunkOf } from './chain.ts';
import { quickCrypto } from './crypto.ts';
import { type Given, type Judge, type LightPeer, lightPeer, type Surroundings } from './peer.ts';
import type { Plan, Trouble } from './plan.ts';
import { newDisk, newNetwork, newWorld, type World } from './world.ts';

/** Of simulated time, after everything that goes wrong: no deadline here is nearly as long. */
const LIMIT_MS = 3_600_000;
const JOIN_CODE = 'simulated';

export interface Result {
  readonly rounds: number;
  /** In the journal. */
  readonly records: number;
  /** Of which peers hold receipts. */
  readonly acknowledged: number;
  /** Receipted, not of an evicted peer, and not in the journal. */
  readonly lost: number;
  /** Peers that had the end of the journal, with its weights. */
  readonly equal: number;
  readonly crashes: number;
  /** Of the host. */
  readonly deaths: number;
  readonly cuts: number;
  readonly partitions: number;
  readonly evicted: number;
  /** Simulated. */
  readonly ms: number;
}

/** Weights of the host, worked out on their own. */
function plainReplica(world: World, crypto: Parameters<typeof rootOf>[1]): Replica {
  let weights = START;
  const takes = (ms: number): Promise<void> => new Promise((resolve) => world.later(world.random() * ms, resolve));
  return {
    round: () => weights.rounds,
    async apply(rounds) {
      for (const round of rounds) weights = apply(weights, round);
      await takes(100);
    },
    measure: () => Promise.reject(new RangeError('"measure" expected a peer')),
    async evaluate() {
      const found = { 'eval/loss': Math.abs(essence(weights)) / 2 ** 31 };
      await takes(200);
      return found;
    },
    checksum: async () => checksumOf(weights),
    revise: () => Promise.reject(new RangeError('"revise" expected nobody')),
    root: async () => rootOf(weights, crypto),
    leaves: async () => [{ hash: rootOf(weights, crypto), bytes: 4 * weights.q.length }],
    snapshot: (write) => write(new Uint8Array(0)),
    restore: () => Promise.reject(new RangeError('"restore" expected nobody')),
    close: async () => undefined,
  };
}

/**
 * @param say hears what happens. @param diskOf makes its disks.
 * @throws {Error} naming the seed and what must not happen
 */
export async function simulate(
  plan: Plan,
  say: (text: string) => void = () => undefined,
  diskOf: typeof newDisk = newDisk,
): Promise<Result> {
  const crypto = quickCrypto();
  const world = newWorld(plan.seed);
  const network = newNetwork(world);
  const disks = { journal: diskOf(world, plan.disk), pending: diskOf(world, plan.disk) };
  const tell = (text: string): void => say(`${world.now()} ms: ${text}`);
  const accuse = (text: string): never => {
    throw new Error(`seed ${plan.seed}, ${plan.peers} peers, after ${world.now()} ms: ${text}`);
  };
  const coordinator = crypto.publicKey(HOST_SECRET);
  const manifest: Manifest = {
    ...MANIFEST,
    coordinator: toHex(coordinator),
    max_steps: plan.rounds,
    records_per_round: plan.records_per_round,
    seed: plan.seed,
  };

  // ------------------------------------------------------------------------------------------------------ the host

  let journal: Journal;
  let trunk: Trunk | undefined;
  let host: Host | undefined;
  let ended: Awaited<Host['finished']> | undefined;
  let hosts = 0;
  const outcomes: Promise<void>[] = [];
  /** Contributions of the open round that reached the network last, and the longest deadline that was heard. */
  let open = { round: -1, at: 0, deadline: 0, delivered: 0 };

  function checkPace(committed: number, records: number): void {
    if (open.round !== committed) return;
    const took = world.now() - open.at;
    const arrived = open.delivered - open.at + 4 * plan.far;
    // A slow delivery teaches that its peer is slow: the deadline then follows that (`pace.ts`).
    let allowed = Math.max(open.deadline, 14 * arrived);
    for (let needed = QUORUM; records < needed * plan.records_per_round; needed /= 2) allowed *= 2;
    if (took > allowed + 10_000) accuse(`round ${committed} took ${took} ms of ${allowed}`);
  }

  async function startAgain(start: Known | undefined): Promise<void> {
    const mine = ++hosts;
    journal = await openJournal(disks.journal.open(), crypto, HOST_SECRET);
    if (journal.position.state === null) {
      const admits = Array.from({ length: Math.floor(plan.admitted) }, (_, slot): Entry => {
        return { type: 'admit', slot, key: crypto.publicKey(secrets[slot]!), name: `peer ${slot}` };
      });
      await journal.appendAll([{ type: 'manifest', manifest }, ...admits]);
    }
    if (start !== undefined) trunk = trunkOf(start, journal.records, crypto);
    if (mine !== hosts) return; // it died while it read its journal
    open = { ...open, round: -1 };
    const begun = await startHost({
      journal,
      pending: disks.pending.open(),
      transport: network.hostTransport(),
      replica: plainReplica(world, crypto),
      ...{ crypto, secret: HOST_SECRET, clock: world, entropy: entropyOf(world.random), joinCode: JOIN_CODE },
      ...{ minPeers: plan.minPeers, evalSteps: plan.evalSteps, saveSteps: plan.saveSteps },
      onEvent(event) {
        if (event.event === 'round') {
          tell(`round ${event.round} is committed: ${event.records} records of ${event.peers} peers`);
          checkPace(event.round - 1, event.records);
        } else if (event.event === 'refused') tell(`${event.slot ?? 'somebody'} is refused: ${event.code}`);
      },
    });
    host = begun;
    outcomes.push(
      begun.finished.then((outcome) => {
        if (outcome.reason === 'done') ended = outcome;
      }),
    );
    outcomes.at(-1)!.catch((error) => tell(`the host failed: ${error.message}`));
  }

  function kill(): void {
    host?.abort();
    host = undefined;
    hosts++;
    disks.journal.crash();
    disks.pending.crash();
  }

  // ----------------------------------------------------------------------------------------------------- the judge

  const sent = new Map<string, Int8Array[]>();
  const acknowledged = new Map<string, Given>();
  const evicted = new Set<number>();
  const nameOf = ({ round, slot, from }: Omit<Given, 'codes'>): string => `${round}:${slot}:${from}`;
  const judge: Judge = {
    accuse,
    opened(round, deadlineMs) {
      if (open.round === round) open.deadline = Math.max(open.deadline, deadlineMs);
      else open = { round, at: world.now(), deadline: deadlineMs, delivered: world.now() };
    },
    sent(given) {
      const name = nameOf(given);
      const versions = sent.get(name);
      if (versions === undefined) sent.set(name, [given.codes]);
      else if (!versions.includes(given.codes)) versions.push(given.codes);
      if (given.round === open.round) open.delivered = world.now();
    },
    acknowledged: (given) => void acknowledged.set(nameOf(given), given),
    evicted: (slot) => void evicted.add(slot),
  };

  // ----------------------------------------------------------------------------------------------------- the peers

  const secrets = Array.from({ length: plan.peers }, (_, n) => {
    const secret = new Uint8Array(32);
    new DataView(secret.buffer).setUint32(0, n + 1);
    return secret;
  });
  const beginning = startAgain(undefined);
  await world.run(() => host !== undefined, 60_000);
  await beginning;
  const run = journal!.position.run!;
  const start = chainOf(run);
  trunk = trunkOf(start, journal!.records, crypto);
  const around: Surroundings = {
    ...{ world, network, crypto, judge, run, coordinator, joinCode: JOIN_CODE, start },
    fetch(known) {
      if (host === undefined) return undefined;
      const { index } = known.position;
      if (index > journal.records.length)
        accuse(`the journal has become shorter: ${journal.records.length} < ${index}`);
      if (trunk!.at(index) !== known) accuse(`the journal is not the one that was heard, up to record ${index}`);
      return trunk!.at(journal.records.length);
    },
  };
  const peers: LightPeer[] = secrets.map((secret, number) => {
    const near = world.pick(2) === 0 ? 0.1 : 1;
    const latency = near * world.random() * plan.far;
    return lightPeer(around, {
      ...{ number, secret, twice: plan.twice, checksumSteps: 1 + world.pick(3) },
      distance: { latency, jitter: 0.5 * latency, blockedUntil: 0 },
      msPerRecord: world.pick(40) === 0 ? 500 + world.pick(3000) : 5 + world.pick(400),
    });
  });

  const someone = (n: number): LightPeer => peers[n % peers.length]!;
  const count = { crash: 0, cut: 0, partition: 0, host: 0 };
  const DO: { readonly [K in Trouble['kind']]: (trouble: Extract<Trouble, { readonly kind: K }>) => void } = {
    cut({ peer, learns }) {
      count.cut++;
      someone(peer).cut(learns);
    },
    crash({ peer, away, learns }) {
      count.crash++;
      someone(peer).crash(away, learns);
    },
    freeze: ({ peer, ms }) => someone(peer).freeze(ms),
    leave: ({ peer }) => someone(peer).leave(),
    drift: ({ peer }) => someone(peer).drift(),
    offend: ({ peer, how }) => someone(peer).offend(how),
    partition({ first, part, ms, breaks }) {
      count.partition++;
      for (let i = 0; i < Math.floor(part * peers.length); i++) someone(first + i).block(ms, breaks);
    },
    host({ down }) {
      count.host++;
      kill();
      world.later(down, () => {
        if (host === undefined && ended === undefined) startAgain(start).catch((error) => tell(error.message));
      });
    },
  };
  for (const [n, peer] of peers.entries())
    world.later(n % 10 === 9 ? world.pick(12_000) : world.pick(900), peer.connect);
  for (const trouble of plan.troubles)
    world.later(trouble.at, () => {
      if (ended !== undefined) return;
      tell(JSON.stringify(trouble));
      (DO[trouble.kind] as (trouble: Trouble) => void)(trouble);
    });

  if (!(await world.run(() => ended !== undefined, LIMIT_MS)))
    accuse(`the run does not end: ${JSON.stringify(host?.view().peers.slice(0, 20))}`);
  const ms = world.now();
  await world.run(() => peers.every(({ state }) => state.over !== undefined), 20_000);
  await Promise.all(outcomes);

  // ------------------------------------------------------------------------------------------------ what it came to

  const bytes = await journal!.read();
  const { records } = verifyJournal(bytes, crypto, run);
  const entries = records.map(({ entry }) => entry);
  const ledger = ledgerOf(entries);
  const rounds = roundsOf(entries);
  const end = trunk.at(records.length);
  if (ledger.round !== plan.rounds) accuse(`the journal has ${ledger.round} rounds of ${plan.rounds}`);
  /** After so many rounds. */
  const prefixes = [START];
  for (const round of rounds) prefixes.push(apply(prefixes.at(-1)!, round));
  const roots = prefixes.map((at) => toHex(rootOf(at, crypto)));
  const weights = prefixes.at(-1)!;
  if (roots.at(-1) !== ended!.root) accuse('the weights are not those that the host ended with');
  for (const [round, root] of ledger.digests) {
    if (toHex(root) !== roots[round]) accuse(`the digest after ${round} rounds is of other weights`);
  }
  checkOrder(world, rounds, weights, crypto, accuse);

  const committed = new Map<string, Int8Array>();
  for (const { header, segments } of rounds)
    for (const { slot, from, codes } of segments) {
      const name = nameOf({ round: header.round, slot, from });
      committed.set(name, codes);
      if (!sent.get(name)?.some((version) => same(version, codes))) accuse(`${name} was never sent like that`);
    }
  const byteCount = rounds.reduce(
    (sum, { segments }) => sum + segments.reduce((n, { codes }) => n + codes.length, 0),
    0,
  );
  const counted = host!.view().peers.reduce((sum, peer) => sum + peer.records, 0);
  if (byteCount !== counted) accuse(`the journal has ${byteCount} records, peers are said to have given ${counted}`);

  let lost = 0;
  for (const [name, { slot, codes }] of acknowledged) {
    const found = committed.get(name);
    if ((found !== undefined && same(found, codes)) || evicted.has(slot) || ledger.admitted.get(slot)!.evicted)
      continue;
    lost++;
    tell(`${name} was receipted and is not in the journal`);
  }
  if (lost > 0) accuse(`${lost} receipted contributions are not in the journal`);

  let equal = 0;
  for (const peer of peers) {
    const known = peer.known();
    if (trunk.at(known.position.index) !== known) accuse(`peer ${peer.number} has another journal`);
    if (toHex(rootOf(known.weights, crypto)) !== roots[known.weights.rounds])
      accuse(`peer ${peer.number} has other weights`);
    if (known === end) equal++;
  }
  if (equal === 0) accuse('nobody has seen the end');
  return {
    ...{ rounds: rounds.length, records: byteCount, acknowledged: acknowledged.size, lost, equal },
    ...{ crashes: count.crash, deaths: count.host, cuts: count.cut, partitions: count.partition },
    ...{ evicted: [...ledger.admitted.values()].filter((admitted) => admitted.evicted).length, ms },
  };
}

const same = (a: Int8Array, b: Int8Array): boolean => a.length === b.length && a.every((code, i) => code === b[i]);

/** Rounds and records in another order, and each segment cut in two: a sum does not mind. */
function checkOrder(
  world: World,
  rounds: readonly Round[],
  weights: typeof START,
  crypto: Parameters<typeof rootOf>[1],
  accuse: (text: string) => never,
): void {
  const shuffled = <T>(list: readonly T[]): T[] =>
    list
      .map((item) => [world.random(), item] as const)
      .sort(([a], [b]) => a - b)
      .map(([, item]) => item);
  const again = shuffled(rounds).reduce((sum, { header, segments }) => {
    const parts = segments.flatMap(({ slot, from, codes }) => [
      { slot, from, codes: codes.subarray(0, codes.length >> 1) },
      { slot, from: from + (codes.length >> 1), codes: codes.subarray(codes.length >> 1) },
    ]);
    return apply(sum, { header, segments: shuffled(parts) });
  }, START);
  if (!equalBytes(rootOf(again, crypto), rootOf(weights, crypto))) accuse('another order gives other weights');
}
