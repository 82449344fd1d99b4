/**
 * What crosses the wire: bytes of a round, against gradients sent whole.
 *
 * @module
 */
import { useMemo } from 'preact/hooks';
import { formatBytes } from '../../figures.ts';
import { Chart } from '../chart.tsx';
import { Empty, Figure, Section } from '../parts.tsx';
import { perRound, thinned } from '../series.ts';
import type { ViewProps } from '../store.ts';

const F32_BYTES = 4;
const MOST_POINTS = 1000;

export function NetworkView({ store: { book, status, paces } }: ViewProps) {
  const { rounds, ledger } = book.value;
  const weights = status.value?.weights;
  const shown = useMemo(() => thinned(rounds, MOST_POINTS), [rounds]);
  const x = useMemo(() => shown.map(({ round }) => round), [shown]);
  const wire = useMemo(() => new Map(perRound(paces.value).map(({ round, value }) => [round, value])), [paces.value]);
  if (ledger === undefined || rounds.length === 0) return <Empty>No round is committed yet.</Empty>;
  const bytes = ledger.manifest.exchange === undefined;
  const sockets = shown.map(({ round }) => wire.get(round) ?? null);
  const measured = sockets.filter((value) => value !== null);
  const perRoundWire = measured.length === 0 ? undefined : measured.reduce((a, b) => a + b, 0) / measured.length;
  // Of a run that exchanges vectors a record is a step, and a gradient of it would have been sent.
  const full = weights && shown.map(({ peers, records }) => weights * F32_BYTES * (bytes ? peers : records));
  const gradients = rounds.reduce((sum, { records }) => sum + records, 0);
  const latest = rounds.at(-1)!;
  return (
    <>
      <dl class="figures">
        {bytes && (
          <Figure name="Gradients" note="one byte each">
            {gradients.toLocaleString('en')}
          </Figure>
        )}
        {perRoundWire !== undefined && (
          <Figure name="A round on the sockets" note={`${latest.peers} peers, both ways`}>
            {formatBytes(Math.round(perRoundWire))}
          </Figure>
        )}
        {perRoundWire === undefined && (
          <Figure name="A round in the journal" note={`${latest.peers} peers`}>
            {formatBytes(latest.bytes)}
          </Figure>
        )}
        {full && (
          <Figure name="The same, gradients whole" note={`${weights!.toLocaleString('en')} weights, float32`}>
            {formatBytes(full.at(-1)!)}
          </Figure>
        )}
        {full && perRoundWire !== undefined && (
          <Figure name="Less by a factor of">{Math.round(full.at(-1)! / perRoundWire).toLocaleString('en')}</Figure>
        )}
      </dl>
      <Section title="Bytes of a round" aside={<span class="dim">logarithmic</span>}>
        <Chart
          title="Bytes of a round"
          x={x}
          height={320}
          log
          format={(value) => formatBytes(Math.round(value))}
          curves={[
            ...(full ? [{ label: 'full gradients', colour: '--dim', values: full, dashed: true }] : []),
            ...(measured.length > 0 ? [{ label: 'on the sockets', colour: '--blue', values: sockets }] : []),
            { label: 'record in the journal', colour: '--green', values: shown.map((round) => round.bytes) },
            ...(bytes
              ? [{ label: 'gradients alone', colour: '--orange', values: shown.map(({ records }) => records) }]
              : []),
          ]}
          until={ledger.manifest.max_steps}
        />
        <p class="caption">
          Gradients and records are counted in the journal.{' '}
          {measured.length > 0
            ? 'The sockets are counted by the host: frames, signatures, TCP payload of handshakes and keep-alives, all peers together.'
            : 'What the sockets moved is known while a host runs; it keeps no record of it.'}{' '}
          Full gradients: {bytes ? 'each peer sends' : 'each step of a peer takes'} one float32 for each weight that is
          trained.
        </p>
      </Section>
    </>
  );
}
