/**
 * A text of one's own before the base and before the tuned model, side by side. A process with the models computes it:
 * the one of `murmur ui`, never a host, whose rounds would wait for it.
 *
 * @module
 */
import { type Signal, useSignal } from '@preact/signals';
import type { Task } from '../../nouns.ts';
import type { Made, TriedOut } from '../../peer/status.ts';
import { Copyable, Empty, Section } from '../parts.tsx';
import type { ViewProps } from '../store.ts';

/** What the form asks for: the columns of the prompt, or the text itself. */
export function columnsOf(task: Task): readonly string[] {
  if (task.kind === 'lm' || task.kind === 'masked_lm') return ['text'];
  const found = [...task.prompt.replaceAll('{{', '').matchAll(/\{([^{}]*)\}/g)].map(
    ([, names]) => names!.split('|')[0]!,
  );
  return [...new Set(found)].filter((name) => name !== 'mask');
}

type Outcome = { readonly said: TriedOut } | { readonly wrong: string } | 'waiting' | undefined;

export function TryView({ store: { status, book, place, connection } }: ViewProps) {
  const outcome = useSignal<Outcome>(undefined);
  const { ledger } = book.value;
  if (ledger === undefined || status.value === undefined) return <Empty>Fetching the journal and verifying it…</Empty>;
  const { task } = ledger.manifest;
  if (!status.value.may.includes('try')) return <Elsewhere live={status.value.kind === 'live'} />;
  if (task.kind === 'masked_lm')
    return <Empty>A model that fills in masks continues no text. Judge it with murmur eval.</Empty>;
  return (
    <>
      <Section title="Both models on your text">
        <form
          class="try"
          onSubmit={(event) => {
            event.preventDefault();
            void ask(`${place.base}/try`, new FormData(event.currentTarget), outcome);
          }}
        >
          {columnsOf(task).map((name) => (
            <label key={name}>
              {name}
              <textarea name={name} required rows={3} maxLength={2000} spellcheck={false} />
            </label>
          ))}
          {task.kind !== 'lm' && (
            <p class="caption">
              The models read it as <code>{task.prompt}</code>
            </p>
          )}
          <p>
            <button class="primary" type="submit" disabled={outcome.value === 'waiting' || connection.value !== 'open'}>
              {outcome.value === 'waiting' ? 'Reading…' : 'Ask both'}
            </button>
          </p>
        </form>
      </Section>
      <div aria-live="polite">
        <Answer outcome={outcome.value} />
      </div>
    </>
  );
}

async function ask(address: string, form: FormData, outcome: Signal<Outcome>): Promise<void> {
  outcome.value = 'waiting';
  const response = await fetch(address, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(Object.fromEntries(form)),
  }).catch(() => undefined);
  if (response === undefined) outcome.value = { wrong: 'Nobody answers: is murmur ui still running?' };
  else if (response.ok) outcome.value = { said: (await response.json()) as TriedOut };
  else if (response.status === 422) outcome.value = { wrong: ((await response.json()) as { detail: string }).detail };
  else outcome.value = { wrong: await response.text() };
}

function Answer({ outcome }: { outcome: Outcome }) {
  if (outcome === undefined) return null;
  if (outcome === 'waiting') return <Empty>The first text takes a moment: both models are opened.</Empty>;
  if ('wrong' in outcome) return <p data-kind="bad">{outcome.wrong}</p>;
  const { prompt, round, base, tuned } = outcome.said;
  return (
    <div class="columns">
      <Side title="Base" prompt={prompt} made={base} />
      <Side title={`After ${round} rounds`} prompt={prompt} made={tuned} />
    </div>
  );
}

const Side = ({ title, prompt, made: { text, labels } }: { title: string; prompt: string; made: Made }) => (
  <Section title={title}>
    {labels && (
      <dl class="odds">
        {labels.map(({ value, word, probability }) => (
          <div key={value}>
            <dt>
              {word.trim()} <span class="dim">{value}</span>
            </dt>
            <dd>
              <span class="bar" style={{ '--part': probability }} aria-hidden="true" />
              {(100 * probability).toFixed(1)} %
            </dd>
          </div>
        ))}
      </dl>
    )}
    {text !== undefined && (
      <blockquote>
        <span class="dim">{prompt}</span>
        <mark>{text}</mark>
      </blockquote>
    )}
  </Section>
);

const Elsewhere = ({ live }: { live: boolean }) => (
  <Section title="Both models on your text">
    <p>
      {live
        ? 'A host does not do this: its replica belongs to the rounds. On the machine of the host, beside the run, this opens a page that does, with the weights as they are then:'
        : 'The base is not where it was, so there is no model to ask. Say where it is:'}
    </p>
    <Copyable text={`npx murmur ui OUTPUT_DIR${live ? '' : ' --model FOLDER'}`} label="command that opens it" />
  </Section>
);
