/**
 * The rules of the house: who may import whom, and who may touch the world. Each gives its violations as lines.
 *
 * @module
 */
import { globalsOf, importsOf, type Sources } from './source.ts';

/** A folder, or a file directly in src/, may import from rows above its own, and inside itself. */
const TREE: readonly (readonly string[])[] = [
  ['programs.ts', 'trust.ts', 'vectors.ts', 'faults.ts', 'figures.ts'],
  ['nouns.ts'],
  ['ports.ts'],
  ['numeric'],
  ['graph'],
  ['engine'],
  ['model'],
  ['data', 'objective'],
  ['estimator', 'optimizer', 'wire', 'journal', 'apply', 'aggregate', 'compress'],
  ['method'],
  ['peer'],
  ['browser.ts'],
  ['cli', 'web'],
  ['index.ts', 'testing.ts'],
];

/** Where files may use what only Node has: the same code runs in a browser otherwise. */
const NODE = /^(engine\/node|(model|data|peer)\/node|cli\/)/;
/** Where clocks, timers, entropy and sockets live. */
const WORLD = /^(peer|cli|web)\//;

/** Each package has one door. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  '@nats-io/jetstream': /^peer\/nats\//,
  '@nats-io/kv': /^peer\/nats\//,
  '@nats-io/nats-core': /^peer\/(nats\/|node\/nats|web\/nats)/,
  '@nats-io/obj': /^peer\/nats\//,
  '@nats-io/transport-node': /^peer\/node\/nats/,
  '@noble/curves': /^(web|peer\/web)\//,
  '@noble/hashes': /^(web|peer\/web)\//,
  '@preact/signals': /^web\//,
  fflate: /^peer\/web\//,
  'onnxruntime-node': /^engine\/node/,
  'onnxruntime-web': /^engine\/web/,
  '@huggingface/tokenizers': /^model\//,
  '@swc/wasm-typescript': /^peer\/node\/reward/,
  'csv-parse': /^data\//,
  'd3-scale': /^cli\//,
  hyparquet: /^data\//,
  'hyparquet-compressors': /^data\//,
  preact: /^web\//,
  'prom-client': /^peer\/node\/metrics/,
  uplot: /^web\//,
  uqr: /^web\//,
  ws: /^peer\//,
  yaml: /^cli\//,
  zod: /^(journal|cli|model)\//,
};

interface Ban {
  readonly uses: RegExp;
  /** Files where it is allowed. */
  readonly except: RegExp;
  readonly why: string;
}

const BANS: readonly Ban[] = [
  {
    uses: /^(Math\.random|Date\.now|performance\.now|new Date|crypto\.(getRandomValues|randomUUID|subtle))$/,
    except: WORLD,
    why: 'entropy and time are arguments',
  },
  { uses: /^(setTimeout|setInterval|setImmediate)\(\)$/, except: WORLD, why: 'timers come through the Clock port' },
  { uses: /^(fetch\(\)|new (WebSocket|EventSource|XMLHttpRequest))$/, except: WORLD, why: 'sockets are injected' },
  { uses: /^(process|Buffer)\./, except: NODE, why: 'only Node has it' },
  { uses: /^(new Error|Error\(\))$/, except: /^$/, why: 'a refusal is a Fault, a TypeError or a RangeError' },
  // A square root is not among these: IEEE 754 rounds it correctly, and every engine has the processor do it.
  {
    uses: /^Math\.(a?(cos|sin|tan)h?|atan2|cbrt|exp|expm1|hypot|log|log10|log1p|log2|pow|round)$/,
    except: /^(?!(numeric|optimizer|wire|journal|apply|aggregate)\/)/,
    why: 'languages and engines differ in it, and here bits matter',
  },
];

const MAX_LINES = 400;

const placeOf = (path: string): string => path.split('/')[0]!;
const levelOf = (path: string): number => TREE.findIndex((row) => row.includes(placeOf(path)));

export function treeViolations(sources: Sources): string[] {
  return [...sources].flatMap(([path, text]) => {
    if (levelOf(path) < 0) return [`${path}: ${placeOf(path)} has no place in the import tree`];
    return importsOf(path, text).files.flatMap((target) => {
      if (!sources.has(target)) return [`${path}: imports ${target}, which does not exist`];
      const allowed = placeOf(path) === placeOf(target) || levelOf(target) < levelOf(path);
      return allowed ? [] : [`${path}: must not import ${target}`];
    });
  });
}

/** One line for each import that leads back to a file whose imports are still being followed. */
export function cycles(sources: Sources): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const follow = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) {
      found.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
      return;
    }
    if (done.has(path)) return;
    for (const target of importsOf(path, sources.get(path) ?? '').files) follow(target, [...trail, path]);
    done.add(path);
  };
  for (const path of sources.keys()) follow(path, []);
  return found;
}

export function packageViolations(sources: Sources): string[] {
  return [...sources].flatMap(([path, text]) =>
    importsOf(path, text)
      .packages.filter((name) => !(name.startsWith('node:') ? NODE : PACKAGES[name])?.test(path))
      .map((name) => `${path}: must not import ${name}`),
  );
}

export function globalViolations(sources: Sources): string[] {
  return [...sources].flatMap(([path, text]) =>
    globalsOf(path, text).flatMap(({ name, line }) =>
      BANS.filter(({ uses, except }) => uses.test(name) && !except.test(path)).map(
        ({ why }) => `${path}:${line}: uses ${name} (${why})`,
      ),
    ),
  );
}

export function lengthViolations(sources: Sources): string[] {
  return [...sources].flatMap(([path, text]) => {
    const lines = text.split('\n').length - 1;
    return lines > MAX_LINES ? [`${path}: ${lines} lines, more than ${MAX_LINES}`] : [];
  });
}

/** Every file opens with a comment that says what it is. */
export function headerViolations(sources: Sources): string[] {
  return [...sources]
    .filter(([, text]) => !/^(#!.*\n)?\/\*\*[\s\S]*?\*\//.test(text))
    .map(([path]) => `${path}: has no module comment`);
}
