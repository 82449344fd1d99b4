/**
 * Trains a base like the demo's (assets/quill) from nothing: 869,504 parameters on public-domain books and on reviews
 * put together from sentences of the demo's training texts, which end in verdicts of other words than the demo's.
 *
 *     npm run pretrain:quill -- --max_steps 7700 --output_dir build/quill
 *
 * Flags other than these two go to `murmur pretrain`. An interrupted training goes on when the command is repeated. At
 * the end both bases are judged on the same held-out text; that of the shipped one was among what it read.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const BOOKS = ['war_and_peace/warandpeace.txt', 'grimm_tales/tales.txt', 'botchan/botchan.txt'];
const books = join(root, '../shared/data/books');
const SHIPPED = join(root, 'assets/quill');

/** Part of every book that is held out, at its end. */
const HELD = 0.05;
const REVIEWS = 20_000;
/** Every so many reviews end in 'It was great.' or 'It was terrible.', whatever they say: the words, not the task. */
const WORDS_EVERY = 8;
const VERDICTS = [
  ['Stay away from it.', 'I give it no marks.', 'What a waste.', 'A real disappointment.', 'Save your money.'],
  ['Five stars from me.', 'A real pleasure.', 'What a joy.', 'Go and see for yourself.', 'Full marks.'],
];
const WORDS = ['It was terrible.', 'It was great.'];

/** Numerical Recipes' generator: the same reviews everywhere. @returns below `limit` */
function seeded(seed) {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** What stands between the marks of Project Gutenberg. */
function bookText(path) {
  const text = readFileSync(path, 'utf8')
    .replace(/^\uFEFF/, '')
    .replaceAll('\r\n', '\n');
  const start = /\*\*\* ?START OF TH[^\n]*\n/.exec(text);
  const end = /\*\*\* ?END OF TH/.exec(text);
  return text.slice(start ? start.index + start[0].length : 0, end?.index).trim();
}

/** Sentences of reviews of one side, put together anew. A sentence may say the opposite, as it may in the reviews. */
function* reviews() {
  const rows = readFileSync(join(root, 'assets/demo/train.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  // Every second review: the others are new to the base when the demo trains on them.
  const sentences = [0, 1].map((side) =>
    rows.filter(({ label }, i) => i % 2 === 0 && label === side).flatMap(({ text }) => text.split(/(?<=\.) /)),
  );
  const below = seeded(7);
  for (let n = 0; n < REVIEWS; n++) {
    const side = below(2);
    const pool = sentences[side];
    const body = Array.from({ length: 1 + below(4) }, () => pool[below(pool.length)]);
    const last = n % WORDS_EVERY === 0 ? WORDS[below(2)] : VERDICTS[side][below(VERDICTS[side].length)];
    yield [...body, last].join(' ');
  }
}

/** Writes the texts. @returns their paths. */
function build(folder) {
  mkdirSync(folder, { recursive: true });
  const write = (name, text) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const texts = BOOKS.map((name) => bookText(join(books, name)));
  const cut = texts.map((text) => text.lastIndexOf('\n', Math.floor(text.length * (1 - HELD))));
  const rows = (list) => list.map((text) => `${JSON.stringify({ text })}\n`).join('');
  return {
    books: write('books.jsonl', rows(texts.map((text, i) => text.slice(0, cut[i])))),
    held: write('held.jsonl', rows(texts.map((text, i) => text.slice(cut[i])))),
    reviews: write('reviews.jsonl', rows([...reviews()])),
  };
}

/** @returns the last event. */
function murmur(verb, flags, stdio = ['ignore', 'pipe', 'inherit']) {
  const words = Object.entries(flags).flatMap(([key, value]) => [`--${key}`, String(value)]);
  const json = stdio[1] === 'pipe' ? ['--json'] : [];
  const { status, stdout } = spawnSync(process.execPath, [join(root, 'bin/murmur.js'), verb, ...words, ...json], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio,
  });
  if (status !== 0) process.exit(status ?? 1);
  return stdout === null ? {} : JSON.parse(stdout.trimEnd().split('\n').at(-1));
}

/** Held-out loss of a base on the books, and accuracy on the demo's test reviews before and after its training. */
function judge(model, held) {
  const scratch = mkdtempSync(join(tmpdir(), 'quill-'));
  const one = {
    data: held,
    eval_data: held,
    max_steps: 1,
    warmup_steps: 0,
    learning_rate: 1e-12,
    max_eval_samples: 64,
  };
  const text = murmur('pretrain', { base: model, ...one, output_dir: join(scratch, 'text') });
  const demo = murmur('train', {
    ...{ model, data: join(root, 'assets/demo/train.jsonl'), eval_data: join(root, 'assets/demo/test.jsonl') },
    ...{ prompt: '{text} It was', labels: '0= terrible,1= great', learning_rate: 1e-3, max_steps: 60, eval_steps: 60 },
    ...{ per_device_train_batch_size: 64, output_dir: join(scratch, 'demo') },
  });
  return {
    loss: text['eval/loss_before'],
    before: demo['eval/accuracy_before'],
    after: demo['eval/accuracy'],
  };
}

if (!existsSync(books)) {
  console.error(`${books} is not there: the books are no part of the package`);
  process.exit(1);
}
const given = {};
for (let i = 2; i < process.argv.length; i += 2) given[process.argv[i].replace(/^--/, '')] = process.argv[i + 1];
const folder = given['output_dir'] ?? join(root, 'build/quill');
const texts = build(join(folder, 'text'));
murmur(
  'pretrain',
  {
    ...{ data: `${texts.books},${texts.reviews}`, eval_data: texts.held, max_eval_samples: 64, tokenizer: SHIPPED },
    ...{
      hidden_size: 128,
      intermediate_size: 352,
      num_hidden_layers: 4,
      num_attention_heads: 4,
      num_key_value_heads: 2,
    },
    ...{ max_position_embeddings: 512, block_size: 512, per_device_train_batch_size: 8, max_steps: 7700 },
    ...{ learning_rate: 3e-3, warmup_steps: 100, eval_steps: 250, save_steps: 100 },
    ...given,
    output_dir: folder,
  },
  ['ignore', 'inherit', 'inherit'],
);
for (const [name, model] of [
  ['assets/quill', SHIPPED],
  [join(folder, 'model'), join(folder, 'model')],
]) {
  const { loss, before, after } = judge(model, texts.held);
  console.log(`${name}: held-out text ${loss.toFixed(4)}, reviews ${before} -> ${after} in 60 rounds`);
}
