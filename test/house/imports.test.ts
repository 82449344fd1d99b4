import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  cycles,
  globalViolations,
  headerViolations,
  lengthViolations,
  packageViolations,
  treeViolations,
} from './rules.ts';
import { readSources, type Sources } from './source.ts';

const sources = readSources(fileURLToPath(new URL('../../src', import.meta.url)));

describe('src/', () => {
  test('was found', () => {
    expect([...sources.keys()]).toContain('nouns.ts');
  });
  test('imports form the tree of DESIGN 7', () => {
    expect(treeViolations(sources)).toEqual([]);
  });
  test('has no import cycle', () => {
    expect(cycles(sources)).toEqual([]);
  });
  test('uses packages and Node built-ins only behind their doors', () => {
    expect(packageViolations(sources)).toEqual([]);
  });
  test('uses clocks, entropy, sockets and inexact mathematics only where it may', () => {
    expect(globalViolations(sources)).toEqual([]);
  });
  test('files are at most 400 lines', () => {
    expect(lengthViolations(sources)).toEqual([]);
  });
  test('files say what they are', () => {
    expect(headerViolations(sources)).toEqual([]);
  });
});

describe('the rules can fail', () => {
  const of = (files: Record<string, string>): Sources => new Map(Object.entries(files));

  test('an import against the tree, between siblings, of nothing, from a folder without a place', () => {
    const bad = of({
      'nouns.ts': "import type { X } from './graph/a.ts';",
      'graph/a.ts': "export { y } from '../model/m.ts';",
      'model/m.ts': "await import('../peer/p.ts');",
      'wire/w.ts': "import '../journal/j.ts';\nimport './none.ts';",
      'journal/j.ts': "import '../nouns.ts';",
      'peer/p.ts': "// import '../cli/none.ts'\nconst s = `import '../cli/none.ts'`;",
      'utils/u.ts': '',
    });
    expect(treeViolations(bad)).toEqual([
      'nouns.ts: must not import graph/a.ts',
      'graph/a.ts: must not import model/m.ts',
      'model/m.ts: must not import peer/p.ts',
      'wire/w.ts: must not import journal/j.ts',
      'wire/w.ts: imports wire/none.ts, which does not exist',
      'utils/u.ts: utils has no place in the import tree',
    ]);
  });

  test('a cycle, of types too', () => {
    const bad = of({
      'graph/a.ts': "import './b.ts';",
      'graph/b.ts': "import type { C } from './c.ts';",
      'graph/c.ts': "import './b.ts';",
    });
    expect(cycles(bad)).toEqual(['graph/b.ts -> graph/c.ts -> graph/b.ts']);
  });

  test('a package or a built-in at the wrong door, or one nobody admitted', () => {
    const bad = of({
      'model/x.ts': "import 'node:fs/promises';\nimport ort from 'onnxruntime-node';\nimport '@scope/thing/deep.js';",
      'model/node/x.ts': "import 'node:fs/promises';",
      'data/x.ts': "import { parse } from 'csv-parse/browser/esm/sync';",
    });
    expect(packageViolations(bad)).toEqual([
      'model/x.ts: must not import node:fs/promises',
      'model/x.ts: must not import onnxruntime-node',
      'model/x.ts: must not import @scope/thing',
    ]);
  });

  test('globals: in code, not in comments, strings or the folders that may', () => {
    const text = "// Math.random()\nconst s = 'Date.now()';\nconst t = performance.now() + Math.random();\n";
    const bad = of({
      'estimator/x.ts': text,
      'peer/x.ts': text,
      'apply/x.ts': 'Math.exp(1); Math.imul(2, 3); throw new Error("no");',
      'data/x.ts': 'Math.exp(1); setTimeout(f, 1); process.exit(); fetch("x"); source.fetch("x"); new Date();',
    });
    expect(globalViolations(bad).map((line) => line.replace(/ \(.*/, ''))).toEqual([
      'estimator/x.ts:3: uses performance.now',
      'estimator/x.ts:3: uses Math.random',
      'apply/x.ts:1: uses Math.exp',
      'apply/x.ts:1: uses new Error',
      'data/x.ts:1: uses setTimeout()',
      'data/x.ts:1: uses process.exit',
      'data/x.ts:1: uses fetch()',
      'data/x.ts:1: uses new Date',
    ]);
  });

  test('a long file, and one without a header', () => {
    expect(lengthViolations(of({ 'a.ts': '\n'.repeat(401), 'b.ts': '\n'.repeat(400) }))).toHaveLength(1);
    expect(headerViolations(of({ 'a.ts': '// hm\n/** late */', 'b.ts': '#!/usr/bin/env node\n/** good */' }))).toEqual([
      'a.ts: has no module comment',
    ]);
  });
});
