/** Learning curves: what the journal says, in steps as the run file counts them. */
import { describe, expect, test } from 'vitest';
import { curveOf, metricsOf } from '../../src/cli/curve.ts';
import type { Manifest } from '../../src/nouns.ts';

const evaluated = new Map([
  [0, { 'eval/loss': 2 }],
  [4, { 'eval/loss': 1.5, 'eval/accuracy': 0.5 }],
]);
const ledgerOf = (exchange?: object) => ({
  manifest: { base: { name: 'quill', files: [] }, method: 'onebyte', exchange } as unknown as Manifest,
  evaluated,
});

describe('learning curves', () => {
  test.each([
    ['rounds of a run by bytes', undefined, 4],
    ['inner steps of a peer', { kind: 'diloco', steps: 25 }, 100],
    ['steps of the optimizer, of which acco makes one in two rounds', { kind: 'acco', steps: 4096 }, 2],
    ['steps of the optimizer', { kind: 'ddp', steps: 1 }, 4],
  ])('count %s', (_, exchange, step) => {
    const lines = metricsOf(ledgerOf(exchange)).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { step: 0, round: 0, 'eval/loss': 2 },
      { step, round: 4, 'eval/loss': 1.5, 'eval/accuracy': 0.5 },
    ]);
    expect(curveOf(ledgerOf(exchange)).match(/<circle/g)).toHaveLength(2);
  });
});
