import { existsSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import type { Model } from '../../src/model/stage.ts';
import type { Engine } from '../../src/ports.ts';
import { readFolder, readReference } from './folder.ts';
import { forward } from './forward.ts';

const FIXTURES = [
  'opt-tied',
  'opt-bare-names',
  'llama-untied-grouped-linear',
  'llama-rope-llama3-head-dim',
  'llama-yarn-biases',
  'llama-bf16-sharded',
  'llama-f16',
  'mistral-window',
  'ministral-mixed',
  'qwen2-windows',
  'qwen3-tied',
  'gpt2',
  'gpt2-bare-names',
  'bert',
  'bert-pretraining-gamma',
  'roberta',
].map((name) => `test/fixtures/models/${name}`);
const REAL = ['assets/quill', '../shared/models/stories260k'];

const worst = (got: ArrayLike<number>, expected: readonly number[]): number =>
  expected.reduce((most, x, i) => Math.max(most, Math.abs(x - (got[i] ?? Number.NaN))), 0);

const engines: readonly Engine[] = [interpreter, nodeEngine({ threads: 1 })];

describe.each(engines)('float64 references of independent code, by $name', (engine) => {
  describe.each([...FIXTURES, ...REAL])('%s', (folder) => {
    const absent = !existsSync(folder);
    let model: Model;
    let weight: (name: string) => Float32Array;
    beforeAll(async () => {
      if (!absent) ({ model, weight } = await readFolder(folder));
    });

    test.skipIf(absent)('each token within 1e-4 nats, logits within 1e-3', async () => {
      for (const { input_ids: ids, token_nll, first_logits, last_logits } of readReference(folder)) {
        const T = ids.length;
        const call = { form: { kind: 'plain' }, ids, weight } as const;
        const ends = await forward(engine, model, {
          ...call,
          dims: { sequences: 1, tokens: T, scored: 2 },
          head: { kind: 'logits' },
          at: [0, T - 1],
        });
        if (first_logits)
          expect(worst(ends.subarray(0, model.vocabulary), first_logits), 'first logits').toBeLessThan(1e-3);
        expect(worst(ends.subarray(model.vocabulary), last_logits), 'last logits').toBeLessThan(1e-3);
        // A masked model is asked for the token that stands at a place, a causal one for the next.
        const targets = model.kind === 'masked' ? ids : ids.slice(1);
        if (targets.length === 0) continue;
        const nll = await forward(engine, model, {
          ...call,
          dims: { sequences: 1, tokens: T, scored: targets.length },
          head: { kind: 'lm' },
          at: targets.map((_, t) => t),
          targets,
        });
        expect(worst(nll, token_nll), 'token nll').toBeLessThan(1e-4);
      }
    });
  });
});
