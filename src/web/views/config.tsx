/**
 * What the run was told: the settings that are not the defaults, and the command that gives the same run again.
 *
 * @module
 */
import { signal, useSignal } from '@preact/signals';
import { commandOf, differences, peersOf, runFileOf, type Settings, settingsOf, type Value } from '../command.ts';
import { Copyable, Empty, Section, Table } from '../parts.tsx';
import type { ViewProps } from '../store.ts';

interface Property {
  readonly default?: unknown;
  readonly description?: string;
}

type Keys = Readonly<Record<string, Property>>;

/** The published schema of run files. Fetched beside the page, at once: later the host may be gone. */
const schema = signal<Keys | undefined>(undefined);
import('../../../schema/murmur.schema.json').then(
  ({ properties }) => {
    schema.value = properties;
  },
  () => undefined, // the page says that nobody answers
);

const text = (value: Value | unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

export function ConfigView({ store: { book } }: ViewProps) {
  const all = useSignal(false);
  const { ledger, rounds } = book.value;
  const keys = schema.value;
  if (ledger === undefined || keys === undefined) return <Empty>Fetching the journal and verifying it…</Empty>;
  const { manifest } = ledger;
  const settings = settingsOf(manifest, peersOf(manifest.records_per_round, rounds[0]?.peers));
  const defaults = Object.fromEntries(Object.entries(keys).map(([key, property]) => [key, property.default]));
  const own = differences(settings, defaults);
  const command = commandOf(own);
  const files = [...manifest.base.files, manifest.data.train, ...(manifest.data.eval ? [manifest.data.eval] : [])];
  return (
    <>
      <Section title="The same run again">
        {command !== undefined && <Copyable text={command} label="command of this run" />}
        <details>
          <summary>As a run file{command === undefined && ': these settings have no form on a command line'}</summary>
          <Copyable text={runFileOf(own)} label="run file of this run" />
        </details>
        <p class="caption">
          Model and data are called as the manifest calls them: name the files where they lie on your machine. With the
          same files it makes the same manifest, but for the key of its host and the byte scale that it measures.
        </p>
      </Section>
      <Section
        title={all.value ? 'All settings' : 'Settings that are not the defaults'}
        aside={
          <label>
            <input
              type="checkbox"
              checked={all.value}
              onChange={({ currentTarget }) => {
                all.value = currentTarget.checked;
              }}
            />
            All of them
          </label>
        }
      >
        <SettingsList settings={all.value ? settings : own} keys={keys} />
      </Section>
      <Section title="Files, by what they hold">
        <Table label="Files" head={['File', 'Bytes', 'SHA-256']}>
          {files.map(({ path, bytes, sha256 }) => (
            <tr key={path}>
              <th scope="row">{path}</th>
              <td class="number">{bytes.toLocaleString('en')}</td>
              <td>
                <code title={sha256}>{sha256.slice(0, 16)}…</code>
              </td>
            </tr>
          ))}
        </Table>
      </Section>
    </>
  );
}

const SettingsList = ({ settings, keys }: { settings: Settings; keys: Keys }) => (
  <dl class="settings">
    {Object.entries(settings).map(([key, value]) => (
      <div key={key}>
        <dt>
          <code>{key}</code>
        </dt>
        <dd>
          <code>{text(value)}</code>
          {keys[key]?.default !== undefined && keys[key].default !== value && (
            <span class="dim"> instead of {text(keys[key].default)}</span>
          )}
          <p class="caption">{keys[key]?.description}</p>
        </dd>
      </div>
    ))}
  </dl>
);
