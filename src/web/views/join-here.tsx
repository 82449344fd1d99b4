/**
 * One button: this browser as a peer, and what it has given.
 *
 * @module
 */
import { signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { JoinOutcome, join, Membership } from '../../browser.ts';
import { formatBytes } from '../../figures.ts';
import { after, STARTED, type Taking } from '../membership.ts';
import { Figure, Section } from '../parts.tsx';
import type { Store } from '../store.ts';

/** The library for browsers, where it is part of the page: as large as all the rest, and fetched when it may be wanted. */
type Join = typeof join;
const library = signal<Join | undefined>(undefined);
const load = async (): Promise<void> => {
  library.value = (await import('../../browser.ts')).join;
};

/** Of the page, not of the view: a peer goes on while other views are looked at. */
const membership = signal<Membership | undefined>(undefined);
const taking = signal<Taking>(STARTED);
const ended = signal<{ readonly outcome: JoinOutcome } | { readonly wrong: string } | undefined>(undefined);

function start(join: Join, link: string, name: string): void {
  taking.value = STARTED;
  ended.value = undefined;
  const member = join(link, {
    ...(name === '' ? {} : { name }),
    onEvent(event) {
      taking.value = after(taking.value, event);
    },
  });
  membership.value = member;
  member.finished
    .then(
      (outcome) => {
        ended.value = { outcome };
      },
      (error: unknown) => {
        ended.value = { wrong: error instanceof Error ? error.message : String(error) };
      },
    )
    .finally(() => {
      membership.value = undefined;
    });
}

export function JoinHere({ store, link }: { store: Store; link: string }) {
  const name = useSignal('');
  useEffect(() => {
    load().catch(() => undefined); // the page says that nobody answers
  }, []);
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent): void => {
      if (membership.value) event.preventDefault();
    };
    addEventListener('beforeunload', warn);
    return () => removeEventListener('beforeunload', warn);
  }, []);
  const join = library.value;
  if (join === undefined) return null;
  const { ledger } = store.book.value;
  const over = ledger !== undefined && ledger.round >= ledger.manifest.max_steps;
  const bytes = ledger?.manifest.base.files.reduce((sum, file) => sum + file.bytes, 0) ?? 0;
  return (
    <Section title="From this browser">
      {membership.value ? (
        <Part store={store} member={membership.value} />
      ) : (
        <form
          class="join"
          onSubmit={(event) => {
            event.preventDefault();
            start(join, link, name.value.trim());
          }}
        >
          <label>
            Name
            <input
              name="name"
              maxLength={64}
              autocomplete="nickname"
              placeholder="how others see you"
              value={name.value}
              onInput={({ currentTarget }) => {
                name.value = currentTarget.value;
              }}
            />
          </label>
          <button class="primary" type="submit" disabled={over || store.connection.value !== 'open'}>
            Take part
          </button>
          <p class="caption">
            Fetches the model ({formatBytes(bytes)}) and the data from the host, computes here, and sends{' '}
            {ledger?.manifest.exchange ? 'what its steps came to' : 'one byte a gradient'}. Close the tab to leave; the
            run goes on without you.
            {!isSecureContext &&
              ' Over http:// a browser gives a page one thread and no GPU: it works, and slowly. Over https://, or on the machine of the host, it gives both.'}
          </p>
        </form>
      )}
      <div aria-live="polite">
        {ended.value && 'wrong' in ended.value && <p data-kind="bad">{ended.value.wrong}</p>}
        {ended.value && 'outcome' in ended.value && (
          <p>
            {ended.value.outcome.reason === 'done' ? 'The run is done.' : 'You left.'} You gave{' '}
            {ended.value.outcome.records.toLocaleString('en')} {ledger?.manifest.exchange ? 'steps' : 'gradients'}.
          </p>
        )}
      </div>
    </Section>
  );
}

function Part({ store, member }: { store: Store; member: Membership }) {
  const { doing, device, slot, rounds, paused } = taking.value;
  // Counted where it counts: in committed rounds.
  const given = slot === undefined ? 0 : (store.book.value.contributed.get(slot) ?? 0);
  const all = [...store.book.value.contributed.values()].reduce((sum, count) => sum + count, 0);
  return (
    <>
      <p>
        {doing}
        {device !== undefined && <span class="dim"> · {device}</span>}
      </p>
      <dl class="figures">
        <Figure name="Given" note={all > 0 && `${((100 * given) / all).toFixed(1)} % of the run`}>
          {given.toLocaleString('en')}
        </Figure>
        <Figure name="Rounds">{rounds}</Figure>
      </dl>
      <p class="buttons">
        <button type="button" onClick={() => (paused ? member.resume() : member.pause())}>
          {paused ? 'Go on' : 'Pause'}
        </button>
        <button type="button" onClick={() => member.leave()}>
          Leave
        </button>
      </p>
    </>
  );
}
