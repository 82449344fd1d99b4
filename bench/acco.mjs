/**
 * `npm run study:acco`: hiding the link. Peers as real processes, each behind a narrow line of its own, train the LLaMA of
 * study:diloco from nothing on WikiText-2 with `ddp`, `dpu` and `acco`.
 *
 *     node bench/acco.mjs time [--mbit 100] [--latency 10]   tokens a second, and how much of the line was hidden
 *     node bench/acco.mjs loss [--seeds 1,2,3] [--rates 2e-3,1e-2]   held-out loss after as many steps of as many tokens, no line
 *     node bench/acco.mjs slow                               the same as time, one peer half as fast (stopped every other 50 ms)
 *
 * Needs ../shared. What `loss` has finished is kept in build/studies/acco: repeat the command to go on.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { freshBase } from './fresh.mjs';
import { machine, markdown, root } from './harness.mjs';
import { openLink } from './link.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    peers: { type: 'string', default: '2' },
    mbit: { type: 'string', default: '100' },
    latency: { type: 'string', default: '10' },
    steps: { type: 'string' },
    seeds: { type: 'string', default: '1,2,3' },
    rate: { type: 'string', default: '5e-3' },
    rates: { type: 'string', default: '2e-3,1e-2' },
    output: { type: 'string', default: join(root, 'build/studies/acco') },
    data: { type: 'string', default: join(root, '../shared/data/wikitext-2') },
  },
});
const [what = 'time'] = positionals;
const [train, held] = ['train.txt', 'valid.txt'].map((file) => join(values.data, file));
if (!existsSync(train)) {
  console.error(`study:acco: ${train} is not here; bench/README.md says what it is`);
  process.exit(1);
}
const peers = Number(values.peers);
const WINDOW = 64;

/** A process of `murmur`; its events as they come. */
function murmur(args, onEvent) {
  const child = spawn(process.execPath, [join(root, 'bin/murmur.js'), ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  createInterface({ input: child.stdout }).on('line', (line) => onEvent(JSON.parse(line)));
  const exit = new Promise((resolve) => child.on('close', resolve));
  return { child, exit };
}

/**
 * A run to its end. @param flags of `murmur train`. @param line of each peer, or none. @param halved whether the last peer
 * is to be half as fast.
 */
async function run(flags, line, halved = false) {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-acco-'));
  const common = {
    ...{ model: await freshBase(join(tmpdir(), 'murmur-acco-base')), data: train, eval_data: held, task: 'lm' },
    ...{ block_size: WINDOW, peers: 0, min_peers: peers, threads: 1, guard: 'false', output_dir: join(folder, 'out') },
    ...{ max_eval_samples: 256, learning_rate: values.rate, ...flags },
  };
  const events = [];
  const joined = [];
  const links = [];
  let stopper;
  const host = murmur(
    ['train', ...Object.entries(common).flatMap(([key, value]) => [`--${key}`, String(value)])],
    (event) => {
      events.push({ at: performance.now(), ...event });
      if (event.event === 'link') void start(event.link);
    },
  );
  async function start(link) {
    const { hostname, port } = new URL(link);
    for (let n = 0; n < peers; n++) {
      let own = link;
      if (line) {
        const rate = { bitsPerSecond: line.mbit * 1e6, latencyMs: line.latency };
        const narrow = await openLink({ target: { host: hostname, port: Number(port) }, up: rate, down: rate });
        links.push(narrow);
        own = link.replace(`${hostname}:${port}`, narrow.address);
      }
      const said = [];
      const files = ['--files', join(folder, 'out/files.json'), '--key', join(folder, `${n}.key`)];
      const peer = murmur(['join', own, '--name', `peer-${n}`, '--threads', '1', ...files], (event) =>
        said.push({ at: performance.now(), ...event }),
      );
      joined.push({ ...peer, said });
      if (halved && n === peers - 1) {
        let stopped = false;
        stopper = setInterval(() => peer.child.kill((stopped = !stopped) ? 'SIGSTOP' : 'SIGCONT'), 50);
      }
    }
  }
  const code = await host.exit;
  clearInterval(stopper);
  for (const { child } of joined) child.kill('SIGCONT');
  await Promise.all(joined.map(({ exit }) => exit));
  for (const link of links) link.close();
  rmSync(folder, { recursive: true, force: true });
  if (code !== 0) throw new Error(`exit code ${code}`);
  return { events, said: joined.map(({ said }) => said) };
}

/** From the third merge on: what comes before warms up. */
function paceOf({ events, said }, batch) {
  const merges = events.filter(({ event }) => event === 'merge');
  const [first, last] = [merges[2], merges.at(-1)];
  const steps = merges.slice(3).reduce((sum, merge) => sum + merge.steps, 0);
  const seconds = (last.at - first.at) / 1000;
  const within = (event) => event.at >= first.at && event.at <= last.at;
  const moved = said.flatMap((own) => own.filter((event) => event.event === 'moved' && within(event)));
  const sum = (key) => moved.reduce((all, event) => all + event[key], 0);
  return {
    tokens: (steps * batch * WINDOW) / seconds,
    merges: (merges.length - 3) / seconds,
    line: sum('ms') / 1000 / seconds / said.length,
    hidden: sum('hidden_ms') / sum('ms'),
  };
}

const percent = (part) => `${(100 * part).toFixed(0)} %`;

/** Tokens a second of the same batches with nobody to talk to. */
async function alone(batch) {
  const lines = [];
  const folder = mkdtempSync(join(tmpdir(), 'murmur-acco-'));
  const flags = {
    ...{ model: await freshBase(join(tmpdir(), 'murmur-acco-base')), data: train, eval_data: held, task: 'lm' },
    ...{ method: 'backprop', block_size: WINDOW, max_steps: 60, per_device_train_batch_size: batch, threads: 1 },
    ...{ max_eval_samples: 8, eval_steps: 1000, guard: 'false', output_dir: join(folder, 'out') },
  };
  // As many at once as there are peers: they share the machine as the peers do.
  const all = Array.from({ length: peers }, (_, n) => {
    const own = { ...flags, output_dir: join(folder, `out-${n}`) };
    return murmur(
      ['train', ...Object.entries(own).flatMap(([key, value]) => [`--${key}`, String(value)])],
      (event) => event.event === 'round' && lines.push({ n, at: performance.now(), round: event.round }),
    ).exit;
  });
  await Promise.all(all);
  rmSync(folder, { recursive: true, force: true });
  return Array.from({ length: peers }, (_, n) => {
    const own = lines.filter((line) => line.n === n);
    const [first, last] = [own[10], own.at(-1)];
    return ((last.round - first.round) * batch * WINDOW) / ((last.at - first.at) / 1000);
  }).reduce((a, b) => a + b, 0);
}

async function time(halved) {
  const batch = 8;
  const line = { mbit: Number(values.mbit), latency: Number(values.latency) };
  const common = { per_device_train_batch_size: batch, eval_steps: 100_000 };
  const steps = Number(values.steps ?? 40);
  const arms = {
    ddp: { method: 'ddp', max_steps: steps },
    dpu: { method: 'dpu', max_steps: steps },
    acco: { method: 'acco', max_steps: Math.ceil(steps / 2) },
  };
  const bare = await alone(batch);
  const rows = [{ arm: 'computing alone', 'tokens a second': bare.toFixed(0), 'of computing alone': '100 %' }];
  for (const [arm, own] of Object.entries(arms)) {
    const pace = paceOf(await run({ ...common, ...own }, line, halved), batch);
    rows.push({
      arm,
      'tokens a second': pace.tokens.toFixed(0),
      'of computing alone': percent(pace.tokens / bare),
      'merges a second': pace.merges.toFixed(2),
      'time on the line': percent(pace.line),
      'of it hidden behind steps': percent(pace.hidden),
    });
    console.error(JSON.stringify(rows.at(-1)));
  }
  const full = { 'merges a second': '', 'time on the line': '', 'of it hidden behind steps': '' };
  console.log(
    `${peers} peers, each behind ${line.mbit} Mbit/s and ${line.latency} ms one way${halved ? ', the last half as fast' : ''}. ${machine()}\n`,
  );
  console.log(
    markdown(
      rows.map((row) => ({ ...row, ...Object.fromEntries(Object.entries(full).filter(([key]) => !(key in row))) })),
    ),
  );
}

/** As many steps of as many tokens in every arm: a step of `acco` has two halves of a batch, of the others two batches. */
async function loss() {
  const steps = Number(values.steps ?? 200);
  const common = { per_device_train_batch_size: 4, max_steps: steps, eval_steps: 100_000, warmup_steps: 0 };
  const arms = {
    ddp: { method: 'ddp', gradient_accumulation_steps: 2 },
    dpu: { method: 'dpu', gradient_accumulation_steps: 2, inner_steps: 1 },
    acco: { method: 'acco', inner_steps: 1 },
  };
  mkdirSync(values.output, { recursive: true });
  async function lossOf(arm, rate, seed) {
    const kept = join(values.output, [arm, peers, steps, rate, seed].join('-'));
    if (existsSync(kept)) return Number(readFileSync(kept, 'utf8'));
    const { events } = await run({
      ...{ ...common, ...arms[arm], seed },
      ...{ learning_rate: rate, lr_scheduler_type: 'constant' },
    });
    const loss = events.findLast(({ event }) => event === 'done')['eval/loss'];
    writeFileSync(kept, String(loss));
    console.error(`${arm}, rate ${rate}, seed ${seed}: ${loss.toFixed(3)}`);
    return loss;
  }
  const rows = [];
  for (const rate of values.rates.split(',')) {
    const all = [];
    for (const seed of values.seeds.split(','))
      for (const arm of Object.keys(arms)) all.push({ arm, loss: await lossOf(arm, rate, seed) });
    for (const arm of Object.keys(arms)) {
      const losses = all.filter((each) => each.arm === arm).map((each) => each.loss);
      const mean = losses.reduce((a, b) => a + b, 0) / losses.length;
      const seeds = losses.map((each) => each.toFixed(3)).join(', ');
      rows.push({ rate, arm, 'held-out loss': mean.toFixed(3), 'seed by seed': seeds });
    }
  }
  console.log(`${peers} peers, ${steps} steps of ${peers * 8 * WINDOW} tokens at a constant rate. ${machine()}\n`);
  console.log(markdown(rows));
}

const STUDIES = { time: () => time(false), slow: () => time(true), loss };
if (!STUDIES[what]) {
  console.error(`study:acco: "${what}" is none of ${Object.keys(STUDIES).join(', ')}`);
  process.exit(1);
}
await STUDIES[what]();
