/**
 * Events as lines for people. An event is a plain object with a name; `--json` prints it as it is, here is what it
 * looks like otherwise. Names and fields come from `peer/events.ts` and the verbs.
 *
 * @module
 */
import { bar, formatBytes, formatNumber, formatSeconds, type Paint, sparkline, visible } from './format.ts';

export interface OutputEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** What the status lines know: the last value of each field that any event carried. */
export interface Status {
  readonly fields: Record<string, unknown>;
  /** Held-out losses in order. */
  readonly losses: number[];
}

export const emptyStatus = (): Status => ({ fields: {}, losses: [] });

/** Fields that mean the same in every event. */
const TRACKED: readonly string[] = [
  ...['phase', 'round', 'max_steps', 'peers', 'eta_s'],
  ...['eval/loss', 'eval/accuracy', 'train/loss', 'bytes/wire', 'bytes/payload', 'bytes/received', 'bytes/sent'],
];

export function track(status: Status, event: OutputEvent): void {
  for (const field of TRACKED) if (event[field] !== undefined) status.fields[field] = event[field];
  const loss = event['eval/loss'];
  if (typeof loss === 'number') status.losses.push(loss);
}

const number = (x: unknown): number | undefined => (typeof x === 'number' ? x : undefined);
const show = (x: unknown): string => (typeof x === 'number' ? formatNumber(x) : visible(String(x)));
const of = (e: OutputEvent): string => (e['max_steps'] === undefined ? '' : `/${show(e['max_steps'])}`);
const plural = (n: unknown, one: string): string => `${show(n)} ${one}${n === 1 ? '' : 's'}`;
const join = (parts: readonly (string | undefined)[]): string => parts.filter(Boolean).join('   ');

const metrics = (e: OutputEvent): string =>
  Object.entries(e)
    .filter(([key, value]) => key.startsWith('eval/') && typeof value === 'number')
    .map(([key, value]) => `${key.slice(5)} ${show(value)}`)
    .join('   ');
const wire = (e: Readonly<Record<string, unknown>>): string | undefined => {
  const bytes = number(e['bytes/wire']);
  return bytes === undefined ? undefined : formatBytes(bytes);
};
const eta = (e: Readonly<Record<string, unknown>>): string | undefined => {
  const seconds = number(e['eta_s']);
  return seconds === undefined ? undefined : `${formatSeconds(seconds)} left`;
};
const who = (e: OutputEvent): string =>
  e['name'] === undefined ? `peer ${show(e['slot'] ?? '?')}` : `${show(e['name'])} (slot ${show(e['slot'] ?? '?')})`;

/** A line for the log. `chatty` ones are left out where the status lines already show them, or come too often. */
export interface Line {
  readonly text: string;
  readonly chatty?: boolean;
}

/** What became of a peer → how it is said. Bad news is coloured. */
const PEER_STATES: Readonly<
  Record<string, { readonly mark: string; readonly style: 'green' | 'yellow' | 'red' | 'dim' }>
> = {
  joining: { mark: '+', style: 'dim' },
  ready: { mark: '+', style: 'green' },
  late: { mark: '-', style: 'yellow' },
  gone: { mark: '-', style: 'yellow' },
  evicted: { mark: '!', style: 'red' },
};

/** What the doctor thinks of it → how it is said. */
const CHECKS: Readonly<Record<string, { readonly mark: string; readonly style: 'green' | 'yellow' | 'red' }>> = {
  ok: { mark: 'ok  ', style: 'green' },
  warn: { mark: 'warn', style: 'yellow' },
  fail: { mark: 'FAIL', style: 'red' },
};

type Render = (e: OutputEvent, paint: Paint) => Line | undefined;

const bad =
  (words: (e: OutputEvent) => string): Render =>
  (e, paint) => ({ text: paint('red', `! ${words(e)}`) });

/** Events without a line here are shown as `name key=value`, except those mapped to `hidden`. */
const hidden: Render = () => undefined;

const RENDER: Readonly<Record<string, Render>> = {
  listening: (e, paint) => ({ text: `listening on ${paint('cyan', show(e['address']))}` }),
  link: (e, paint) => ({ text: `join with: ${paint('bold', `murmur join ${show(e['link'])}`)}` }),
  page: (e, paint) => ({ text: `look at it: ${paint('cyan', show(e['link']))}` }),
  view: (e, paint) => ({ text: `look at it: ${paint('cyan', show(e['link']))} (nobody can join by this link)` }),
  phase: hidden,
  measured: hidden,
  applied: hidden,
  checksum: hidden,
  chunk: hidden,
  started: hidden,
  progress: hidden,
  threads: (e) => ({ text: `threads: ${plural(e['workers'], 'worker')} x ${show(e['threads'])}` }),
  digest: (e, paint) => ({
    text: paint('dim', `round ${show(e['round'])}  digest ${show(e['digest'] ?? e['root'])}`),
    chatty: true,
  }),
  connected: (e, paint) => ({ text: paint('green', `connected as peer ${show(e['slot'])}, round ${show(e['head'])}`) }),
  catchup: (e) => ({ text: `catching up: round ${show(e['round'])} of ${show(e['head'])}`, chatty: true }),
  ready: (e, paint) => ({ text: paint('green', `ready at round ${show(e['round'])}`) }),
  round: (e) => ({
    text: join([
      `round ${show(e['round'])}${of(e)}`,
      e['loss'] === undefined ? undefined : `loss ${show(e['loss'])}`,
      e['grad_norm'] === undefined ? undefined : `gradient ${show(e['grad_norm'])}`,
      e['records'] === undefined ? undefined : plural(e['records'], 'record'),
      e['peers'] === undefined ? undefined : plural(e['peers'], 'peer'),
      metrics(e),
      wire(e),
      eta(e),
    ]),
    chatty: true,
  }),
  merge: (e) => ({
    text: join([
      `merge ${show(e['round'])}${of(e)}`,
      plural(e['steps'], 'step'),
      plural(e['peers'], 'peer'),
      wire(e),
      eta(e),
    ]),
    chatty: true,
  }),
  trained: (e) => ({
    text: join([`round ${show(e['round'])}`, plural(e['steps'], 'step'), `loss ${show(e['loss'])}`]),
    chatty: true,
  }),
  moved: hidden,
  evaluation: (e, paint) => ({ text: join([`round ${show(e['round'])}${of(e)}`, paint('bold', metrics(e)), wire(e)]) }),
  saved: (e, paint) => ({ text: paint('dim', `saved ${show(e['path'])}`) }),
  peer: (e, paint) => {
    const state = show(e['state']);
    const { mark, style } = PEER_STATES[state] ?? { mark: '·', style: 'dim' };
    return {
      text: paint(style, `${mark} ${who(e)} ${state}${e['reason'] === undefined ? '' : `: ${show(e['reason'])}`}`),
    };
  },
  refused: bad((e) => {
    const times = e['times'] === undefined ? '' : ` (${show(e['times'])} times)`;
    return `refused ${e['slot'] === undefined ? 'a connection' : who(e)}${times}: ${show(e['code'])}: ${show(e['detail'])}`;
  }),
  evicted: bad((e) => `peer ${show(e['slot'])} is excluded for good: ${show(e['reason'])}`),
  disconnected: bad(
    (e) =>
      `disconnected: ${show(e['code'])}: ${show(e['detail'])}${typeof e['retryMs'] === 'number' ? `; trying again in ${formatSeconds(e['retryMs'] / 1000)}` : ''}`,
  ),
  revoked: bad(
    (e) => `${who(e)} was revoked: its records of rounds ${show(e['from'])} to ${Number(e['to']) - 1} count no more`,
  ),
  rewound: bad((e) => `rewound: ${plural(e['round'], 'round')} left`),
  revised: bad((e) => `the host took something back; ${plural(e['round'], 'round')} left`),
  rebuild: bad((e) => `weights differ from the journal at round ${show(e['round'])}: rebuilding them`),
  check: (e, paint) => {
    const { mark, style } = CHECKS[show(e['state'])] ?? CHECKS['fail']!;
    const remedy = e['remedy'] === undefined ? '' : `\n    ${show(e['remedy'])}`;
    return { text: `${paint(style, mark)} ${show(e['check']).padEnd(14)}${show(e['found'])}${remedy}` };
  },
  warning: (e, paint) => ({ text: paint('yellow', `! ${show(e['message'] ?? e['detail'])}`) }),
  error: bad((e) => show(e['message'] ?? e['detail'])),
};

/** The line of an event, or nothing. */
export function lineOf(event: OutputEvent, paint: Paint): Line | undefined {
  const render = RENDER[event.event];
  return render ? render(event, paint) : plainLine(event);
}

/** An event as it is: `name key=value`. */
export function plainLine(event: OutputEvent): Line {
  const fields = Object.entries(event).filter(([key]) => key !== 'event');
  const said = fields.map(
    ([key, value]) => `${key}=${typeof value === 'object' ? JSON.stringify(value) : show(value)}`,
  );
  return { text: [event.event, ...said].join(' ') };
}

const BAR_WIDTH = 28;
const SPARK_WIDTH = 24;

/** The lines at the bottom of a terminal while a run goes on; none before its first round is known. */
export function statusLines({ fields, losses }: Status, paint: Paint): string[] {
  const [round, steps] = [number(fields['round']), number(fields['max_steps'])];
  if (round === undefined) return [];
  const loss = number(fields['eval/loss']);
  const accuracy = number(fields['eval/accuracy']);
  return [
    steps === undefined
      ? join([`round ${round}`, eta(fields)])
      : join([
          `round ${round}/${steps}`,
          paint('cyan', bar(round / steps, BAR_WIDTH)),
          `${Math.floor((100 * round) / steps)} %`,
          eta(fields),
        ]),
    join([
      loss === undefined ? undefined : `loss ${paint('bold', formatNumber(loss))}`,
      losses.length > 1 ? paint('green', sparkline(losses, SPARK_WIDTH)) : undefined,
      accuracy === undefined ? undefined : `accuracy ${formatNumber(accuracy)}`,
      fields['peers'] === undefined ? undefined : plural(fields['peers'], 'peer'),
      wire(fields),
    ]),
  ].filter((line) => line !== '');
}
