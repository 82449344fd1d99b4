/**
 * Who takes part: what each gave, how fast and how far behind it is.
 *
 * @module
 */
import { formatBytes, formatNumber } from '../../figures.ts';
import type { PeerStatus } from '../../peer/status.ts';
import { Empty, Section, Table } from '../parts.tsx';
import type { ViewProps } from '../store.ts';

/** A peer of the journal, with what the host knows of it, where a host is. */
interface Row {
  readonly slot: number;
  readonly name: string;
  readonly gave: number;
  readonly part: number;
  readonly now: PeerStatus | undefined;
  readonly reason: string | undefined;
}

function rowsOf({ book, status }: ViewProps['store']): readonly Row[] {
  const { ledger, contributed, evicted } = book.value;
  const all = [...contributed.values()].reduce((sum, count) => sum + count, 0);
  return [...(ledger?.admitted.values() ?? [])].map(({ slot, name }) => {
    const gave = contributed.get(slot) ?? 0;
    const now = status.value?.peers.find((peer) => peer.slot === slot);
    return { slot, name, gave, part: all === 0 ? 0 : gave / all, now, reason: evicted.get(slot) };
  });
}

const STATES: Readonly<Record<PeerStatus['state'], string>> = {
  joining: 'joining',
  ready: 'ready',
  measuring: 'measuring',
  late: 'late',
  gone: 'gone',
  evicted: 'excluded',
};

const percent = (part: number): string => `${(100 * part).toFixed(part < 0.1 ? 1 : 0)} %`;

/** Rounds that its weights are behind the journal. */
const behind = ({ applied }: PeerStatus, round: number): string =>
  applied === undefined ? '–' : String(Math.max(0, round - applied));

export function PeersView({ store }: ViewProps) {
  const rows = rowsOf(store);
  const { ledger } = store.book.value;
  const live = store.status.value?.kind === 'live' && store.connection.value === 'open';
  const unit = ledger?.manifest.exchange ? 'steps' : 'gradients';
  const head = [
    'Peer',
    'Given',
    'Share',
    ...(live ? ['State', `${unit}/s`, 'Behind', 'Last heard', 'Bytes', 'Strikes'] : ['State']),
  ];
  return (
    <Section title="Peers" aside={<span class="dim">{rows.length} admitted</span>}>
      {rows.length === 0 ? (
        <Empty>Nobody has joined yet. The Join view has the link.</Empty>
      ) : (
        <Table label="Peers" head={head}>
          {rows.map((row) => (
            <PeerRow key={row.slot} row={row} live={live} round={ledger?.round ?? 0} />
          ))}
        </Table>
      )}
      <p class="caption">
        Given: {unit} in committed rounds, counted in the journal.
        {live
          ? ' Behind: rounds of the journal that its weights, as it last reported them, did not have yet. Bytes: what its sockets moved, both ways. Strikes: offences that only its key can have done; three exclude it.'
          : ' Rates, lag and bytes are known while a host runs.'}
      </p>
    </Section>
  );
}

function PeerRow({
  row: { slot, name, gave, part, now, reason },
  live,
  round,
}: {
  row: Row;
  live: boolean;
  round: number;
}) {
  const state = reason === undefined ? now?.state : 'evicted';
  return (
    <tr>
      <th scope="row">
        {name} <span class="dim">#{slot}</span>
      </th>
      <td class="number">{gave.toLocaleString('en')}</td>
      <td class="number">
        <span class="bar" style={{ '--part': part }} aria-hidden="true" />
        {percent(part)}
      </td>
      <td>
        <span class="state" data-state={state ?? 'gone'}>
          {state === undefined ? 'admitted' : STATES[state]}
        </span>
        {reason !== undefined && <span class="reason">{reason}</span>}
      </td>
      {live && (
        <>
          <td class="number">{now?.rate === undefined ? '–' : formatNumber(Number(now.rate.toPrecision(3)))}</td>
          <td class="number">{now === undefined ? '–' : behind(now, round)}</td>
          <td class="number">{now === undefined ? '–' : `${(now.seen_ms / 1000).toFixed(1)} s ago`}</td>
          <td class="number">{now === undefined ? '–' : formatBytes(now.bytes.wire)}</td>
          <td class="number">{now === undefined ? '–' : now.strikes}</td>
        </>
      )}
    </tr>
  );
}
