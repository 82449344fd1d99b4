/**
 * Learning curves of a run, from what its journal says: `metrics.jsonl`, a line an evaluation, and `curve.svg`.
 *
 * @module
 */
import { join } from 'node:path';
import { isLocal, mergesPerStep } from '../method/exchange.ts';
import type { Manifest } from '../nouns.ts';
import type { Ledger } from '../peer/ledger.ts';
import { writeWhole } from '../peer/node/write-file.ts';
import { svgOf } from './plot.ts';

export const METRICS_FILE = 'metrics.jsonl';
export const CURVE_FILE = 'curve.svg';

type Evaluated = Pick<Ledger, 'manifest'> & {
  readonly evaluated: ReadonlyMap<number, Readonly<Record<string, number>>>;
};

/** Steps as `max_steps` of a run file counts them: rounds; where peers exchange vectors, steps of a peer or of the optimizer. */
const stepsAt = ({ exchange }: Pick<Manifest, 'exchange'>, round: number): number => {
  if (exchange === undefined) return round;
  return isLocal(exchange) ? round * exchange.steps : round / mergesPerStep(exchange);
};

/** One JSON object a line, in the order of rounds. */
export const metricsOf = ({ manifest, evaluated }: Evaluated): string =>
  [...evaluated]
    .map(([round, metrics]) => `${JSON.stringify({ step: stepsAt(manifest, round), round, ...metrics })}\n`)
    .join('');

/** The held-out loss against steps, as the text of an SVG. @throws {RangeError} before the first evaluation */
export const curveOf = ({ manifest, evaluated }: Evaluated): string =>
  svgOf({
    title: `Held-out loss of ${manifest.base.name}, ${manifest.exchange?.kind ?? manifest.method}`,
    ...{ x: 'steps', y: 'eval/loss' },
    series: [
      {
        name: 'eval/loss',
        points: [...evaluated].map(([round, metrics]) => ({
          ...{ x: stepsAt(manifest, round), y: metrics['eval/loss']!, error: 0 },
        })),
      },
    ],
  });

/** Writes both, where there is something to write. */
export async function writeCurve(folder: string, ledger: Evaluated): Promise<void> {
  if (ledger.evaluated.size === 0) return;
  await writeWhole(join(folder, METRICS_FILE), metricsOf(ledger));
  await writeWhole(join(folder, CURVE_FILE), curveOf(ledger));
}
