/**
 * How to take part: from this browser, with the link on another machine, or from a command line; and what that tells others
 * about the data.
 *
 * @module
 */
import { renderSVG } from 'uqr';
import { budgetOf } from '../../estimator/privacy.ts';
import type { Privacy } from '../../nouns.ts';
import { Copyable, Empty, Section } from '../parts.tsx';
import type { ViewProps } from '../store.ts';
import { JoinHere } from './join-here.tsx';

const isLocal = (link: string): boolean => /^(127\.|localhost$|\[::1\]$)/.test(new URL(link).hostname);

export function JoinView({ store }: ViewProps) {
  const { status, connection, book } = store;
  const vectors = book.value.ledger?.manifest.exchange !== undefined;
  const privacy = book.value.ledger?.manifest.privacy;
  if (status.value === undefined)
    return <Empty>{connection.value === 'connecting' ? 'Asking the host…' : 'The host does not answer.'}</Empty>;
  if (!status.value.may.includes('join'))
    return <NotHere live={status.value.kind === 'live'} vectors={vectors} privacy={privacy} />;
  const links = status.value.links ?? [];
  // As this browser reached the host; for others, if that is no use to them, an address of the host's that is.
  const own = `${location.origin}${location.pathname}`;
  const link = [own, ...links].find((one) => !isLocal(one)) ?? own;
  return (
    <>
      <JoinHere store={store} link={own} />
      <Section title="From another machine">
        <div class="share">
          <img src={qr(link)} alt="QR code of the join link" width={180} height={180} />
          <div>
            <p>Open the link in a browser there, or give it to the command line:</p>
            <Copyable text={link} label="join link" />
            <Copyable text={`npx murmur join ${link}`} label="command that joins" />
            {isLocal(link) && (
              <p class="caption">
                This host listens for its own machine only. To let others in, start it with <code>--host 0.0.0.0</code>.
              </p>
            )}
          </div>
        </div>
      </Section>
      <Leaks vectors={vectors} privacy={privacy} />
    </>
  );
}

const qr = (link: string): string =>
  `data:image/svg+xml,${encodeURIComponent(renderSVG(link, { border: 2, whiteColor: '#ffffff', blackColor: '#1b1b19' }))}`;

/** Plainly, as docs/THREATS.md has it. */
interface Told {
  readonly vectors: boolean;
  readonly privacy: Privacy | undefined;
}

const Leaks = ({ vectors, privacy }: Told) => (
  <Section title={vectors ? 'What a share tells' : 'What a byte tells'}>
    <ul class="plain">
      {vectors ? (
        <li>
          A share has a number for each weight, and the host sees each of them.{' '}
          <strong>Texts can be found again in what a few steps did to the weights</strong>.
        </li>
      ) : privacy ? (
        <li>
          Bytes carry noise that only their peer knows: with all of them, nobody can tell whether any one example was
          among the data, but for <strong>ε {budgetOf(privacy).epsilon.toFixed(2)}</strong> at δ {privacy.delta}.
        </li>
      ) : (
        <li>
          A byte is a projection of the gradient of an example. With a journal that others can read,{' '}
          <strong>two or three of them tell whether a text that somebody already has was among the data</strong>. They
          do not spell out a text that nobody has.
        </li>
      )}
      <li>
        The host hands the training data to whoever joins. Holders of the read-only link get the journal, not the data.
      </li>
      <li>
        What you send is signed with a key that this run knows you by, under the name you give. It is in the journal for
        good.
      </li>
      <li>Whoever has the link can come with many peers. A run is for people who know each other.</li>
      <li>Between machines that do not share a network you trust, use a tunnel: http:// is not encrypted.</li>
    </ul>
  </Section>
);

const NotHere = ({ live, ...told }: Told & { readonly live: boolean }) => (
  <>
    <Section title="Join">
      <p>
        {live
          ? 'This link is for looking. To take part, ask whoever runs it for the join link: it has /join/ where this one has /view/.'
          : 'Nobody hosts this run here. Given again, the command that began it goes on with it, and prints a link to join by.'}
      </p>
    </Section>
    <Leaks {...told} />
  </>
);
