/**
 * Small parts that several views are made of.
 *
 * @module
 */
import type { ComponentChildren } from 'preact';
import { useId, useState } from 'preact/hooks';

/** A number that matters, with its name and what to compare it with. */
export function Figure({
  name,
  children,
  note,
}: {
  name: string;
  children: ComponentChildren;
  note?: ComponentChildren;
}) {
  return (
    <div class="figure">
      <dt>{name}</dt>
      <dd>
        <strong>{children}</strong>
        {note !== undefined && <span class="note">{note}</span>}
      </dd>
    </div>
  );
}

export function Section({
  title,
  children,
  aside,
}: {
  title: string;
  children: ComponentChildren;
  aside?: ComponentChildren;
}) {
  const id = useId();
  return (
    <section aria-labelledby={id}>
      <header class="section">
        <h2 id={id}>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

/** What stands where nothing is yet. */
export const Empty = ({ children }: { children: ComponentChildren }) => <p class="empty">{children}</p>;

/** A text to take away. */
export function Copyable({ text, label }: { text: string; label: string }) {
  const [said, say] = useState('Copy');
  const copy = (): void => {
    // Browsers give the clipboard to secure origins only: elsewhere the text is there to select.
    const done = navigator.clipboard?.writeText(text) ?? Promise.reject(new TypeError('no clipboard'));
    done.then(
      () => say('Copied'),
      () => say('Select the text'),
    );
  };
  return (
    <div class="copyable">
      <pre>
        <code>{text}</code>
      </pre>
      <button type="button" onClick={copy} aria-label={`Copy ${label}`}>
        <span aria-live="polite">{said}</span>
      </button>
    </div>
  );
}

/** A table that scrolls sideways where it is wider than the page. */
export function Table({
  label,
  head,
  children,
}: {
  label: string;
  head: readonly string[];
  children: ComponentChildren;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and a keyboard must be able to scroll it
    <section class="scroll" tabIndex={0} aria-label={label}>
      <table>
        <thead>
          <tr>
            {head.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  );
}
