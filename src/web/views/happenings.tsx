/**
 * What happened lately: the journal's records that are no rounds, and what the host said while the page was open.
 *
 * @module
 */
import type { HostEvent } from '../../peer/events.ts';
import { Empty, Section } from '../parts.tsx';
import type { ViewProps } from '../store.ts';

const MOST = 8;

const WORDS: Readonly<Record<string, string>> = {
  joining: 'is joining',
  ready: 'is ready',
  measuring: 'is measuring',
  late: 'is late and gets no work until it is heard of',
  gone: 'is gone',
  evicted: 'was excluded',
};

/** What a host's event says; undefined for those that the figures show already. */
function wordsOf(event: HostEvent): { readonly text: string; readonly bad?: boolean } | undefined {
  switch (event.event) {
    case 'peer':
      return { text: `${event.name} ${WORDS[event.state] ?? event.state}`, bad: event.state === 'evicted' };
    case 'refused':
      return { text: `refused: ${event.code}: ${event.detail}`, bad: true };
    case 'revoked':
      return {
        text: `what slot ${event.slot} gave in rounds ${event.from} to ${event.to - 1} counts no more`,
        bad: true,
      };
    case 'rewound':
      return { text: `the run goes on after round ${event.round} once more`, bad: true };
    default:
      return undefined;
  }
}

/** A digest says enough by its beginning; the Journal view has it whole. */
const MOST_CHARACTERS = 96;
const cut = (text: string): string => (text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS - 1)}…` : text);

export function Happenings({ store: { book, heard, status } }: ViewProps) {
  const recent = heard.value.flatMap(({ at, event }) => {
    const words = wordsOf(event);
    return words ? [{ at, ...words }] : [];
  });
  const recorded = book.value.lines.filter(({ type }) => type !== 'round' && type !== 'merge' && type !== 'manifest');
  return (
    <div class="columns">
      {status.value?.kind !== 'past' && (
        <Section title="Heard from the host">
          {recent.length === 0 ? (
            <Empty>Nothing since this page was opened.</Empty>
          ) : (
            <ol class="log">
              {recent.slice(0, MOST).map(({ at, text, bad }, i) => (
                <li key={recent.length - i} data-kind={bad ? 'bad' : undefined}>
                  <time>{at.toTimeString().slice(0, 8)}</time> {text}
                </li>
              ))}
            </ol>
          )}
        </Section>
      )}
      <Section title="In the journal">
        {recorded.length === 0 ? (
          <Empty>Only the manifest.</Empty>
        ) : (
          <ol class="log">
            {recorded
              .slice(-MOST)
              .reverse()
              .map(({ index, type, text }) => (
                <li key={index}>
                  <span class="tag">{type}</span> {cut(text)}
                </li>
              ))}
          </ol>
        )}
      </Section>
    </div>
  );
}
