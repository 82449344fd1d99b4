/**
 * `npm run bench:browser`: what a tab measures in a second, beside a process of Node: real runs with one peer, which is a
 * tab of Debian's Chromium or `murmur join`. What a page loads, and how long a tab takes from its first line to its first
 * byte of gradient.
 *
 *     npm run bench:browser -- --max_steps 40 --records 16 --gpu software
 *
 * `--gpu real` takes the machine's own adapter, `--gpu none` leaves WebGPU out. In software it takes seconds a round, so there
 * are few.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { availableParallelism, tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { createInterface } from 'node:readline';
import { gzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { flagsOf, report, root, spread } from './harness.mjs';
import { STORIES } from './stories.mjs';
import { sampleText } from './text.mjs';

const given = flagsOf({ max_steps: 40, records: 16, gpu: 'software' });
const { max_steps, records, gpu } = given;
const EXECUTABLE = '/usr/bin/chromium';
if (!existsSync(EXECUTABLE)) {
  console.error(`bench:browser: ${EXECUTABLE} is not here; apt-get install chromium brings it`);
  process.exit(1);
}
const DIST = join(root, 'dist/browser');
const cores = availableParallelism();
/** Rounds before this one compile programs and fill caches. */
const SETTLED = 3;
/** Rounds on an adapter in software. */
const FEW = 6;

const MODELS = [
  {
    name: 'quill, reviews',
    flags: {
      ...{ model: 'assets/quill', data: 'assets/demo/train.jsonl', eval_data: 'assets/demo/dev.jsonl' },
      ...{ prompt: '{text} It was', labels: '0= terrible,1= great' },
    },
  },
  {
    name: 'stories260k, windows of 64 tokens',
    flags: { model: STORIES, data: sampleText(), task: 'lm', block_size: 64 },
  },
].filter(({ flags }) => existsSync(join(root, flags.model)));

// ------------------------------------------------------------------------------------------------------- a page

const TYPES = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' };
const PAGE = `<!doctype html><script type="module">
import { join } from '/browser.js';
globalThis.begin = (link, options) => {
  const began = performance.now();
  const events = [];
  const onEvent = (event) => events.push({ at: performance.now() - began, ...event });
  return join(link, { ...options, onEvent }).finished.then(() => events);
};
</script>`;

/** Serves dist/browser, isolated from other origins so that WebAssembly has threads. */
async function servePage() {
  const server = createServer((request, response) => {
    const path = join(DIST, normalize(request.url));
    const found = request.url !== '/' && existsSync(path);
    response.writeHead(found || request.url === '/' ? 200 : 404, {
      'content-type': found ? TYPES[extname(path)] : 'text/html',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    });
    response.end(found ? readFileSync(path) : PAGE);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

const GPU = {
  none: ['--disable-gpu'],
  software: ['--enable-unsafe-webgpu', '--enable-features=Vulkan', '--use-webgpu-adapter=swiftshader'],
  real: ['--enable-unsafe-webgpu', '--enable-features=Vulkan'],
};
if (!Object.hasOwn(GPU, gpu)) throw new RangeError(`--gpu expected ${Object.keys(GPU).join(', ')}, got ${gpu}`);
const browser = await chromium.launch({
  executablePath: EXECUTABLE,
  // The page is not the host's, as it is in a run: without this the host would have to allow it.
  args: ['--no-sandbox', '--no-first-run', '--disable-background-networking', '--disable-web-security', ...GPU[gpu]],
});
const page = await servePage();

/** A tab with nothing kept from another. */
async function tab(link, options) {
  const context = await browser.newContext();
  const opened = await context.newPage();
  await opened.goto(page.url);
  const events = await opened.evaluate(([to, how]) => globalThis.begin(to, how), [link, options]);
  await context.close();
  return events;
}

// ---------------------------------------------------------------------------------------------------------- runs

/** The command, with its lines as they come. */
function murmur(argv, onLine = () => undefined) {
  const began = performance.now();
  const child = spawn(process.execPath, ['bin/murmur.js', ...argv.map(String), '--json'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = [];
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = { at: performance.now() - began, ...JSON.parse(text) };
    lines.push(line);
    onLine(line);
  });
  return new Promise((resolve, reject) =>
    child.on('close', (code) => (code === 0 ? resolve(lines) : reject(new TypeError(JSON.stringify(lines.at(-1)))))),
  );
}

/** A run with one peer. @param peer joins a link, and gives its events. */
async function runWith(flags, peer, rounds = max_steps) {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-browser-'));
  try {
    const settings = {
      ...flags,
      ...{ output_dir: join(folder, 'out'), peers: 0, min_peers: 1, threads: 1, max_steps: rounds, guard: 'false' },
      ...{ per_device_train_batch_size: records, max_eval_samples: 1, eval_steps: rounds },
    };
    let events;
    const host = murmur(
      ['train', ...Object.entries(settings).flatMap(([key, value]) => [`--${key}`, value])],
      ({ event, link }) => {
        if (event === 'link') events = peer(link, folder);
      },
    );
    await host;
    return await events;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const nodePeer = (threads) => (link, folder) =>
  murmur(['join', link, '--key', join(folder, 'key'), '--files', join(folder, 'out/files.json'), '--threads', threads]);

const PEERS = [
  ...[1, ...(cores > 1 ? [cores] : [])].flatMap((threads) => [
    [`Node, ${threads} threads`, nodePeer(threads)],
    [`tab, WebAssembly, ${threads} threads`, (link) => tab(link, { backend: 'wasm', threads })],
  ]),
  ...(gpu === 'none'
    ? []
    : [['tab, WebGPU', (link) => tab(link, { backend: 'webgpu' }), gpu === 'software' ? FEW : max_steps]]),
];

function rowOf(name, events) {
  const measured = events.filter(({ event }) => event === 'measured');
  const each = measured.filter(({ round }) => round >= SETTLED).map(({ ms, records: count }) => ms / count);
  const device = events.find(({ event }) => event === 'device');
  return {
    peer: name,
    adapter: device?.adapter ?? '',
    'a probe, ms': spread(each),
    'from its start to the first, s': measured[0].at / 1000,
  };
}

const tables = [];
for (const { name, flags } of MODELS) {
  const rows = [];
  for (const [what, peer, rounds] of PEERS) rows.push(rowOf(what, await runWith(flags, peer, rounds)));
  tables.push({
    title: `${name}: ${records} low-rank probes a round, ${max_steps} rounds (${FEW} in software), median (lowest to highest) after the first ${SETTLED}`,
    rows,
    notes: ['From its start to the first: of Node with the files at hand, of a tab with an empty browser.'],
  });
}
await browser.close();
page.close();

const kilobytes = (bytes) => Math.round(bytes / 1000);
tables.push({
  title: 'What a page loads, kB',
  rows: readdirSync(DIST, { recursive: true })
    .filter((path) => extname(path) in TYPES)
    .map((path) => ({ path, bytes: readFileSync(join(DIST, path)) }))
    .sort((a, b) => a.bytes.length - b.bytes.length)
    .map(({ path, bytes }) => ({ file: path, size: kilobytes(bytes.length), gzip: kilobytes(gzipSync(bytes).length) })),
  notes: ['The files of one backend are loaded, not those of both.'],
});
report(given, {
  name: 'browser',
  question: 'What a tab measures beside a process of Node, and what it loads.',
  tables,
});
