/**
 * The journal: every record with its place, its digest and what it says; to take away, and to rebuild the model from.
 *
 * @module
 */
import { useSignal } from '@preact/signals';
import { formatBytes } from '../../figures.ts';
import { toHex } from '../../numeric/bytes.ts';
import type { Line } from '../book.ts';
import { Copyable, Empty, Figure, Section, Table } from '../parts.tsx';
import type { ViewProps } from '../store.ts';

const PAGE = 100;
const KINDS = [
  'all',
  'round',
  'merge',
  'audit',
  'evaluation',
  'digest',
  'admit',
  'evict',
  'revoke',
  'rewind',
  'manifest',
] as const;

export function JournalView({ store: { book, reading, place } }: ViewProps) {
  const kind = useSignal<(typeof KINDS)[number]>('all');
  const shown = useSignal(PAGE);
  const { lines, ledger, length } = book.value;
  if (ledger === undefined) return <Empty>Fetching the journal and verifying it…</Empty>;
  const { known, run, fault } = reading.value;
  const kinds = KINDS.filter((name) => name === 'all' || lines.some(({ type }) => type === name));
  const wanted = lines.filter(({ type }) => kind.value === 'all' || type === kind.value).reverse();
  const name = ledger.manifest.base.name;
  const replay = `npx murmur replay journal.murmur --model ${/[\s'"]/.test(name) ? `'${name}'` : name}`;
  return (
    <>
      <dl class="figures">
        <Figure name="Records" note={fault ? 'verified before the fault' : 'chain and signatures verified here'}>
          {lines.length.toLocaleString('en')}
        </Figure>
        <Figure name="Bytes" note={known > length ? `of ${formatBytes(known)}, still verifying` : undefined}>
          {formatBytes(length)}
        </Figure>
        {ledger.manifest.exchange === undefined && <Figure name="Bytes a gradient">{perGradient(book.value)}</Figure>}
      </dl>
      <Section title="Take it away">
        <p>
          <a class="button" href={`${place.base}/journal`} download="journal.murmur">
            Download the journal
          </a>
        </p>
        <p>
          With the base (“{name}”) it is the model: this rebuilds the weights on any machine and checks every digest on
          the way. Behind --model goes the folder that holds the base.
        </p>
        <Copyable text={replay} label="command that rebuilds the model" />
        <dl class="pairs">
          <dt>Run</dt>
          <dd>
            <code>{run}</code>
          </dd>
          <dt>Chain</dt>
          <dd>
            <code>{lines.at(-1)?.hash}</code>
          </dd>
          {[...ledger.digests].map(([round, root]) => (
            <>
              <dt>Weights after {round}</dt>
              <dd>
                <code>{toHex(root)}</code>
              </dd>
            </>
          ))}
        </dl>
      </Section>
      <Section
        title="Records"
        aside={
          <label>
            Show{' '}
            <select
              value={kind.value}
              onChange={({ currentTarget }) => {
                kind.value = currentTarget.value as typeof kind.value;
                shown.value = PAGE;
              }}
            >
              {kinds.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </label>
        }
      >
        <Table label="Records of the journal, the latest first" head={['#', 'Byte', 'Bytes', 'Type', 'Says', 'Chain']}>
          {wanted.slice(0, shown.value).map((line) => (
            <Record key={line.index} line={line} />
          ))}
        </Table>
        {wanted.length > shown.value && (
          <button
            type="button"
            onClick={() => {
              shown.value += PAGE;
            }}
          >
            {wanted.length - shown.value} older records
          </button>
        )}
      </Section>
    </>
  );
}

const Record = ({ line: { index, offset, length, type, text, hash } }: { line: Line }) => (
  <tr>
    <td class="number">{index}</td>
    <td class="number">{offset}</td>
    <td class="number">{length}</td>
    <td>
      <span class="tag">{type}</span>
    </td>
    <td class="says">{text}</td>
    <td>
      <code>{hash.slice(0, 12)}</code>
    </td>
  </tr>
);

function perGradient({ rounds, length }: ViewProps['store']['book']['value']): string {
  const gradients = rounds.reduce((sum, { records }) => sum + records, 0);
  return gradients === 0 ? '–' : (length / gradients).toFixed(2);
}
