/**
 * The page around the views: which run this is, how it stands, and the way from one view to another.
 *
 * @module
 */
import { useComputed, useSignal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { useEffect } from 'preact/hooks';
import { VIEWS, type ViewName, viewIn } from './place.ts';
import type { ViewProps } from './store.ts';
import { ConfigView } from './views/config.tsx';
import { JoinView } from './views/join.tsx';
import { JournalView } from './views/journal.tsx';
import { NetworkView } from './views/network.tsx';
import { PeersView } from './views/peers.tsx';
import { RunView } from './views/run.tsx';
import { TryView } from './views/try.tsx';

const COMPONENTS: Readonly<Record<ViewName, ComponentType<ViewProps>>> = {
  run: RunView,
  peers: PeersView,
  network: NetworkView,
  try: TryView,
  journal: JournalView,
  config: ConfigView,
  join: JoinView,
};

export function App({ store }: ViewProps) {
  const view = useSignal(viewIn(location.hash));
  useEffect(() => {
    const go = (): void => {
      view.value = viewIn(location.hash);
      scrollTo(0, 0);
    };
    addEventListener('hashchange', go);
    return () => removeEventListener('hashchange', go);
  }, [view]);
  const title = useComputed(() => store.book.value.ledger?.manifest.base.name ?? 'a run');
  const View = COMPONENTS[view.value];
  useEffect(() => {
    document.title = `${VIEWS[view.value]} · ${title.value} · Murmur`;
    document.querySelector('nav a[aria-current]')?.scrollIntoView({ inline: 'center', block: 'nearest' });
  }, [view.value, title.value]);
  return (
    <>
      <a class="skip" href={`#${view.value}`} onClick={() => document.querySelector('main')?.focus()}>
        Skip to the view
      </a>
      <Head store={store} />
      <nav aria-label="Views">
        <ul>
          {Object.entries(VIEWS).map(([name, text]) => (
            <li key={name}>
              <a href={`#${name}`} aria-current={view.value === name ? 'page' : undefined}>
                {text}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <Trouble store={store} />
      <main tabIndex={-1} data-view={view.value}>
        <View store={store} />
      </main>
    </>
  );
}

const PHASES = {
  waiting: 'waiting for peers',
  measuring: 'measuring',
  merging: 'merging',
  committed: 'committed',
  done: 'done',
  stopped: 'not finished',
} as const;

function Head({ store }: ViewProps) {
  const { book, status, connection, reading } = store;
  const { ledger } = book.value;
  const done = ledger ? ledger.round / Math.max(1, ledger.manifest.max_steps) : 0;
  const phase = connection.value === 'open' ? status.value?.phase : undefined;
  return (
    <header class="head">
      <div class="title">
        <span class="mark" aria-hidden="true">
          Murmur
        </span>
        <h1>{ledger?.manifest.base.name ?? 'Reading the journal…'}</h1>
        {reading.value.run !== '' && (
          <code class="run" title="Run id: SHA-256 of the manifest">
            {reading.value.run.slice(0, 12)}
          </code>
        )}
        <span class="chip" data-phase={phase ?? connection.value}>
          {phase ? PHASES[phase] : connection.value === 'connecting' ? 'connecting' : 'disconnected'}
        </span>
      </div>
      {ledger && (
        <progress
          max={ledger.manifest.max_steps}
          value={ledger.round}
          aria-label={`Round ${ledger.round} of ${ledger.manifest.max_steps}`}
          title={`${Math.floor(done * 100)} %`}
        />
      )}
    </header>
  );
}

/** What is wrong, if something is, and what to do about it. */
function Trouble({ store: { connection, reading, book, status } }: ViewProps) {
  const { fault } = reading.value;
  const { ledger } = book.value;
  const over = ledger !== undefined && ledger.round >= ledger.manifest.max_steps;
  return (
    <div role="status" class="trouble">
      {fault && (
        <p data-kind="bad">
          <strong>This journal does not hold.</strong> {fault.code}: {fault.detail}. What is shown is what was verified
          before that.
        </p>
      )}
      {connection.value === 'open' && status.value?.phase === 'waiting' && (
        <p data-kind="note">
          <strong>The host waits for peers.</strong>{' '}
          {status.value.may.includes('join') ? (
            <a href="#join">Here is how to join.</a>
          ) : (
            'It goes on by itself when enough are there.'
          )}
        </p>
      )}
      {connection.value === 'refused' && (
        <p data-kind="bad">
          <strong>No run is here under this code.</strong> Copy the whole link once more.
        </p>
      )}
      {connection.value === 'lost' && (
        <p data-kind={over ? 'note' : 'warn'}>
          {over ? (
            <>
              <strong>The run is over and its host has left.</strong> Everything shown was verified here. To look again:{' '}
              <code>murmur ui &lt;output_dir&gt;</code>
            </>
          ) : (
            <>
              <strong>The host does not answer.</strong> What is shown is the last that was heard; the page goes on by
              itself when the host is back.
            </>
          )}
        </p>
      )}
    </div>
  );
}

/** The page at an address that is none. */
export const Nowhere = () => (
  <main class="nowhere">
    <h1>Murmur</h1>
    <p>This address names no run. Copy the whole link that the host printed: it ends in /join/… or /view/…</p>
  </main>
);
