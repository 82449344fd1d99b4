/**
 * How the run goes: held-out metrics, slopes, pace, and what happened lately.
 *
 * @module
 */
import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { formatBytes, formatNumber, formatSeconds } from '../../figures.ts';
import { metricsOf } from '../book.ts';
import { Chart } from '../chart.tsx';
import { Empty, Figure, Section } from '../parts.tsx';
import { paceOf, smoothed, thinned } from '../series.ts';
import { kept } from '../settings.ts';
import type { ViewProps } from '../store.ts';
import { Happenings } from './happenings.tsx';

const NAMES: Readonly<Record<string, string>> = {
  'eval/loss': 'Held-out loss',
  'eval/accuracy': 'Held-out accuracy',
  'eval/f1': 'Held-out F1',
  'eval/exact_match': 'Held-out exact match',
  'eval/reward': 'Held-out reward',
};
const nameOf = (metric: string): string => NAMES[metric] ?? metric;
const MOST_POINTS = 2000;

export function RunView({ store }: ViewProps) {
  const { book } = store;
  const { ledger } = book.value;
  if (ledger === undefined) return <Empty>Fetching the journal and verifying it…</Empty>;
  return (
    <>
      <Figures store={store} />
      <Clock store={store} />
      <Metrics store={store} />
      <Slopes store={store} />
      <Happenings store={store} />
    </>
  );
}

function Figures({ store }: ViewProps) {
  const { book, paces, status, connection } = store;
  const { evaluations, ledger } = book.value;
  const { max_steps, records_per_round, samples_per_record, task } = ledger!.manifest;
  const isLive = status.value?.kind === 'live' && connection.value === 'open';
  const pace = isLive ? paceOf(paces.value, max_steps) : undefined;
  const over = ledger!.round >= max_steps;
  const first = evaluations[0]?.metrics;
  const last = evaluations.at(-1);
  const tokens = 'window' in task ? records_per_round * samples_per_record * task.window : undefined;
  const wire = status.value?.bytes.wire ?? 0;
  return (
    <dl class="figures">
      {metricsOf(book.value).map((metric) => (
        <Figure
          key={metric}
          name={nameOf(metric)}
          note={first && last && last.round > 0 && `was ${formatNumber(first[metric] ?? Number.NaN)}`}
        >
          {formatNumber(last?.metrics[metric] ?? Number.NaN)}
        </Figure>
      ))}
      <Figure name="Round" note={`of ${max_steps}`}>
        {ledger!.round}
      </Figure>
      {pace && !over && (
        <>
          <Figure name="Rounds a second" note={tokens && `${formatNumber(Math.round(tokens * pace.rate))} tokens/s`}>
            {formatNumber(Number(pace.rate.toPrecision(3)))}
          </Figure>
          <Figure name="Time left">{formatSeconds(pace.left)}</Figure>
        </>
      )}
      {wire > 0 && <Figure name="On the sockets">{formatBytes(wire)}</Figure>}
      <Figure name="Journal">{formatBytes(book.value.length)}</Figure>
    </dl>
  );
}

/** How far the open round is, against how long rounds take. */
function Clock({ store: { status, paces, book, connection } }: ViewProps) {
  const now = useSignal(performance.now());
  const openMs = connection.value === 'open' ? status.value?.open_ms : undefined;
  useEffect(() => {
    if (openMs === undefined) return;
    const timer = setInterval(() => {
      now.value = performance.now();
    }, 250);
    return () => clearInterval(timer);
  }, [openMs === undefined]);
  const { ledger } = book.value;
  const pace = paceOf(paces.value, ledger!.manifest.max_steps);
  if (openMs === undefined || status.value === undefined || pace === undefined) return null;
  const ms = openMs + Math.max(0, now.value - status.value.received);
  return (
    <div class="clock">
      <span>
        Round {status.value.round + 1} open for {(ms / 1000).toFixed(1)} s
      </span>
      <meter
        min={0}
        max={2 * pace.roundMs}
        value={Math.min(ms, 2 * pace.roundMs)}
        aria-label="Time of the open round"
      />
      <span class="dim">rounds take {(pace.roundMs / 1000).toPrecision(2)} s</span>
    </div>
  );
}

function Metrics({ store: { book } }: ViewProps) {
  const log = kept<boolean>('log-loss', false);
  const { evaluations, ledger } = book.value;
  const metrics = metricsOf(book.value);
  const x = useMemo(() => evaluations.map(({ round }) => round), [evaluations]);
  const valuesOf = (metric: string) => evaluations.map(({ metrics: all }) => all[metric] ?? null);
  return (
    <div class="charts">
      {metrics.length === 0 && (
        <Section title="Held-out loss">
          <Empty>The host judges the base first: the curve begins with what it was before the first round.</Empty>
        </Section>
      )}
      {metrics.map((metric) => (
        <Section
          key={metric}
          title={nameOf(metric)}
          aside={metric === 'eval/loss' && <Toggle name="Log scale" of={log} />}
        >
          <Chart
            title={nameOf(metric)}
            x={x}
            curves={[
              {
                ...{ label: metric, values: valuesOf(metric), dots: evaluations.length < 60 },
                colour: metric === 'eval/loss' ? '--blue' : '--green',
              },
            ]}
            log={log.value && metric === 'eval/loss'}
            until={ledger!.manifest.max_steps}
          />
        </Section>
      ))}
    </div>
  );
}

function Slopes({ store: { book } }: ViewProps) {
  const weight = kept<number>('smoothing', 0.8);
  const log = kept<boolean>('log-slope', false);
  const { rounds, ledger } = book.value;
  const shown = useMemo(() => thinned(rounds, MOST_POINTS), [rounds]);
  const x = useMemo(() => shown.map(({ round }) => round), [shown]);
  const raw = useMemo(() => shown.map(({ slope }) => slope), [shown]);
  const smooth = useMemo(() => smoothed(raw, weight.value), [raw, weight.value]);
  if (ledger!.manifest.exchange) return null;
  return (
    <Section
      title="Training: mean |slope| of the gradients"
      aside={
        <span class="controls">
          <label>
            Smoothing
            <input
              type="range"
              min={0}
              max={0.98}
              step={0.02}
              value={weight.value}
              onInput={({ currentTarget }) => {
                weight.value = Number(currentTarget.value);
              }}
            />
            <output>{weight.value.toFixed(2)}</output>
          </label>
          <Toggle name="Log scale" of={log} />
        </span>
      }
    >
      {rounds.length === 0 ? (
        <Empty>No round is committed yet.</Empty>
      ) : (
        <Chart
          title="Mean |slope|"
          x={x}
          curves={[
            { label: 'each round', colour: '--orange', values: raw, faint: true },
            { label: 'smoothed', colour: '--orange', values: smooth },
          ]}
          log={log.value}
          until={ledger!.manifest.max_steps}
        />
      )}
      <p class="caption">
        What the bytes say: how steep the loss is along the directions that were tried. The journal holds no training
        loss, only differences of it.
      </p>
    </Section>
  );
}

function Toggle({ name, of }: { name: string; of: { value: boolean } }) {
  return (
    <label>
      <input
        type="checkbox"
        checked={of.value}
        onChange={({ currentTarget }) => {
          of.value = currentTarget.checked;
        }}
      />
      {name}
    </label>
  );
}
