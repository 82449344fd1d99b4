/**
 * `npm run simulate -- --seed 17 --peers 1000` replays one seed and prints its log;
 * `npm run simulate -- --seeds 1000 --peers 1000 --from 0 --out file.json` does many, and adds them up in the file: started
 * again it goes on where it was.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { planOf } from './plan.ts';
import { type Result, simulate } from './simulate.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '20' },
    from: { type: 'string', default: '0' },
    peers: { type: 'string', default: '1000' },
    out: { type: 'string' },
  },
});

interface Summary {
  readonly peers: number;
  /** Of the seeds so far: `from` and those after it. */
  readonly from: number;
  readonly seeds: number;
  readonly rounds: number;
  readonly records: number;
  readonly acknowledged: number;
  readonly lost: number;
  readonly crashes: number;
  readonly host_crashes: number;
  readonly cuts: number;
  readonly partitions: number;
  readonly evicted: number;
  /** Seeds at whose end all peers that had the journal had its weights: all, or the simulation stops. */
  readonly digests_equal: number;
  readonly peers_at_end: number;
  readonly simulated_hours: number;
  readonly seconds: number;
}

const nothing = (peers: number, from: number): Summary => ({
  ...{ peers, from, seeds: 0, rounds: 0, records: 0, acknowledged: 0, lost: 0, crashes: 0, host_crashes: 0, cuts: 0 },
  ...{ partitions: 0, evicted: 0, digests_equal: 0, peers_at_end: 0, simulated_hours: 0, seconds: 0 },
});

const add = (sum: Summary, found: Result, seconds: number): Summary => ({
  ...sum,
  seeds: sum.seeds + 1,
  rounds: sum.rounds + found.rounds,
  records: sum.records + found.records,
  acknowledged: sum.acknowledged + found.acknowledged,
  lost: sum.lost + found.lost,
  crashes: sum.crashes + found.crashes,
  host_crashes: sum.host_crashes + found.deaths,
  cuts: sum.cuts + found.cuts,
  partitions: sum.partitions + found.partitions,
  evicted: sum.evicted + found.evicted,
  digests_equal: sum.digests_equal + 1,
  peers_at_end: sum.peers_at_end + found.equal,
  simulated_hours: sum.simulated_hours + found.ms / 3_600_000,
  seconds: sum.seconds + seconds,
});

const peers = Number(values.peers);
if (values.seed !== undefined) {
  const plan = planOf(Number(values.seed), peers);
  console.log(JSON.stringify({ ...plan, troubles: plan.troubles.length }));
  console.log(JSON.stringify(await simulate(plan, (text) => console.log(text))));
} else {
  const { out } = values;
  const from = Number(values.from);
  const before = out !== undefined && existsSync(out) ? (JSON.parse(readFileSync(out, 'utf8')) as Summary) : undefined;
  if (before && (before.peers !== peers || before.from !== from))
    throw new RangeError(`"--out" expected a file of ${peers} peers from seed ${from} on, got another; name a new one`);
  let sum = before ?? nothing(peers, from);
  while (sum.seeds < Number(values.seeds)) {
    const began = performance.now();
    const found = await simulate(planOf(from + sum.seeds, peers));
    sum = add(sum, found, (performance.now() - began) / 1000);
    if (out === undefined) continue;
    writeFileSync(`${out}.new`, `${JSON.stringify(sum, null, 2)}\n`);
    renameSync(`${out}.new`, out);
  }
  console.log(JSON.stringify(sum, null, 2));
}
