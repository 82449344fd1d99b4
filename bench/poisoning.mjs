/**
 * Two of ten peers lie: what is left of a run, by attack and by defence. The demo's model on its reviews; the sequencer is
 * the real one, and one replica stands for all, as honest peers have the same weights. Table: docs/POISONING.md.
 *
 *     npm run study:poisoning [-- --seeds 1,2 --rounds 40]
 *
 * Liars know everything: what every record of the round would honestly be, and what the others send. They do not know who
 * is audited. Cells run side by side, in a process for each core.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { average, deviation } from './attacks.mjs';
import { flagsOf, machine, markdown, spread } from './harness.mjs';
import { discarding, sequencedRun } from './internals.mjs';

const PEERS = 10;
const LIARS = [3, 7];
const NO_LOSS = -128;
/** Directions of a round that is shared: ten votes for each. */
const SHARED = 8;
/** ν of "a little is enough". */
const NU = 1.5;

const base = ({ rounds, seed }) => ({
  ...{ model: 'assets/quill', data: 'assets/demo/train.jsonl', eval_data: 'assets/demo/dev.jsonl', seed },
  ...{ prompt: '{text} It was', labels: { 0: ' terrible', 1: ' great' }, max_eval_samples: 250, threads: 1 },
  ...{ peers: PEERS, per_device_train_batch_size: 8, max_steps: rounds, learning_rate: 1.5e-3 },
});

/** Rates are the best of a few for each kind of run without liars. */
const shared = { shared_directions: SHARED, learning_rate: 1e-3 };
const voted = (aggregation) => ({ flags: { ...shared, aggregation, byzantine: LIARS.length } });
const DEFENCES = {
  'byte alone, clip 127': { flags: {} },
  'clip 48': { flags: {}, clip: 48 },
  'audit 0.2': { flags: {}, audit: 0.2 },
  'shared, sum': { flags: shared },
  'shared, median': voted('median'),
  'shared, trimmed mean': voted('trimmed_mean'),
  'shared, NNA': voted('nna'),
};

const classes = readFileSync('assets/demo/train.jsonl', 'utf8')
  .trim()
  .split('\n')
  .map((line) => Number(JSON.parse(line).label));

/** Honest codes along the direction of a record, as vectors of one: of a run without shared ones, all of the round. */
const alike = ({ right, isShared }, record) =>
  [...right].filter((_, i) => !isShared || i % SHARED === record % SHARED).map((code) => Float64Array.of(code));

const within = (clip, x) => Math.max(-clip, Math.min(clip, Math.round(x)));

/** What a liar sends of a record whose honest code is `code`. */
const ATTACKS = {
  none: (code) => code,
  'flipped and maximal': (code, { clip }) => (code > 0 ? -clip : clip),
  'a little is enough': (code, at, record) => {
    const honest = alike(at, record);
    const push = -NU * deviation(honest)[0];
    // Of its own direction nobody else has a code: it turns its own by as much.
    const centre = at.isShared ? average(honest)[0] : code;
    return within(at.clip, centre + Math.sign(centre) * push);
  },
  'only reviews of one class': (code, { samples, record }) => (classes[samples[record]] === 1 ? code : NO_LOSS),
  'stuck at the largest byte': (_, { clip }) => clip,
  'no loss at all': () => NO_LOSS,
};

async function cell({ attack, defence, rounds, seed }) {
  const { flags, clip, audit } = DEFENCES[defence];
  const rules = audit ? { audit: { fraction: audit, secret: [seed, 2, 3] } } : {};
  const isShared = 'shared_directions' in flags;
  const lie = ATTACKS[attack];
  return sequencedRun({ ...base({ rounds, seed }), ...flags }, rules, clip, ({ slot, from, count, ...at }) => {
    const own = at.right.slice(from, from + count);
    if (!LIARS.includes(slot)) return own;
    return own.map((code, i) => (code === NO_LOSS ? code : lie(code, { ...at, isShared, record: from + i }, from + i)));
  });
}

const CELLS = Object.keys(ATTACKS).flatMap((attack) => Object.keys(DEFENCES).map((defence) => ({ attack, defence })));

/** Every `of`-th cell of all seeds, a line of JSON each. */
async function child({ rounds, seeds, part, of }) {
  const all = seeds.flatMap((seed) => CELLS.map((one) => ({ ...one, seed })));
  for (const { attack, defence, seed } of all.filter((_, i) => i % of === part)) {
    const { loss, accuracy, evicted } = await cell({ attack, defence, rounds, seed });
    console.log(JSON.stringify({ seed, attack, defence, loss, accuracy, evicted: [...evicted] }));
  }
}

async function cellsOf({ rounds, seeds, part, of }) {
  const flags = Object.entries({ rounds, seeds, part, of }).flatMap(([key, value]) => [`--${key}`, String(value)]);
  const running = spawn(process.execPath, [fileURLToPath(import.meta.url), ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const chunk of running.stdout) {
    text += chunk;
    console.error(String(chunk).trim());
  }
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const shown = (x) => (Number.isFinite(x) ? x.toFixed(2) : 'none');
function cellOf(found) {
  const { median, low, high } = spread(found.map(({ loss }) => loss));
  const right = spread(found.map(({ accuracy }) => accuracy)).median;
  return `${shown(median)}${low === high ? '' : ` (${shown(low)} to ${shown(high)})`}, ${Math.round(100 * right)} %`;
}

/** Who was found, and when. */
function foundBy(found) {
  const caught = found.flatMap(({ evicted }) =>
    evicted.filter(([slot]) => LIARS.includes(slot)).map(([, round]) => round),
  );
  const wrong = found.flatMap(({ evicted }) => evicted.filter(([slot]) => !LIARS.includes(slot))).length;
  const when = caught.length === 0 ? '' : `, after round ${Math.min(...caught)} to ${Math.max(...caught)}`;
  return `${caught.length} of ${LIARS.length * found.length}${when}; honest: ${wrong}`;
}

// `part` and `of` are for its own processes.
const { seeds, rounds, part, of: parts } = flagsOf({ seeds: [1, 2], rounds: 40, part: 0, of: 0 });
if (parts > 0) await child({ rounds, seeds, part, of: parts });
else {
  const jobs = availableParallelism();
  const found = (
    await Promise.all(Array.from({ length: jobs }, (_, i) => cellsOf({ rounds, seeds, part: i, of: jobs })))
  ).flat();
  const of = (attack, defence) => found.filter((one) => one.attack === attack && one.defence === defence);
  const names = Object.keys(DEFENCES);
  const rows = Object.keys(ATTACKS).map((attack) => ({
    attack,
    ...Object.fromEntries(names.map((name) => [name, cellOf(of(attack, name))])),
  }));
  const audits = Object.keys(ATTACKS).map((attack) => ({ attack, evicted: foundBy(of(attack, 'audit 0.2')) }));
  const censored = await discarding(base({ rounds, seed: 1 }));
  console.log(`${machine()}; ${PEERS} peers, ${LIARS.length} of them liars, ${rounds} rounds, seeds ${seeds}\n`);
  console.log(`${markdown(rows)}\n\n${markdown(audits)}\n`);
  console.log(
    `A coordinator that discards what it gave a receipt for: ${censored ?? 'not seen'}, in the round it does so.`,
  );
}
