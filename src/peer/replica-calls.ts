/**
 * A replica in another thread, as calls by name: the end that asks and the end that answers. A thread is whatever carries
 * structured clones of messages both ways: a worker of Node, or of a browser.
 *
 * @module
 */
import type { AdjustableEngine } from '../engine/adjustable.ts';
import { Fault, type FaultCode } from '../faults.ts';
import type { OpenedReplica } from './open-replica.ts';
import type { Exchanger } from './replica.ts';

/** A replica whose engine may be given other threads between two calls. */
export interface ThreadedReplica extends OpenedReplica {
  readonly adjust: AdjustableEngine['adjust'];
}

/** What it is asked. `close` is not among it: a thread is ended from outside. */
type Method = Exclude<keyof ThreadedReplica, 'round' | 'close' | 'width' | 'exchange'> | keyof Exchanger;

export interface Call {
  readonly id: number;
  readonly name: Method;
  readonly args: readonly unknown[];
}

/** The answer to call `id`; 0 is the opening itself. */
export interface Answer {
  readonly id: number;
  readonly round: number;
  readonly value?: unknown;
  readonly refusal?: { readonly code: FaultCode; readonly message: string };
}

/** What call `id` asks back before it can go on: to write a piece of a snapshot, or to read one. */
export interface Question {
  readonly id: number;
  readonly question: number;
  readonly args: readonly unknown[];
}

/** The answer to a question. */
export interface Reply {
  readonly question: number;
  readonly value?: unknown;
  readonly refusal?: Answer['refusal'];
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  /** Answers the call's questions. */
  readonly serve: ((...args: readonly never[]) => Promise<unknown>) | undefined;
}

/** An error as another thread is told of it. */
export const refusalOf = (error: unknown): NonNullable<Answer['refusal']> =>
  error instanceof Fault
    ? { code: error.code, message: error.detail }
    : { code: 'INTERNAL', message: error instanceof Error ? (error.stack ?? error.message) : String(error) };

/** The end that asks. */
export interface Asking {
  readonly replica: Omit<ThreadedReplica, 'close'>;
  /** Resolves when the other end has opened its replica. @throws {Fault} what opening it refuses */
  readonly opened: Promise<void>;
  /** A message of the other end. */
  hear(message: Answer | Question): void;
  /** The other end is gone: all calls that wait are told, and all later ones. */
  fail(fault: Fault): void;
}

/** @param post sends a message to the other end. @param exchanges whether the run exchanges vectors. */
export function askReplica(post: (message: Call | Reply) => void, exchanges: boolean): Asking {
  const waiting = new Map<number, Waiting>();
  let rounds = 0;
  let calls = 0;
  let broken: Fault | undefined;

  const reply = async ({ id, question, args }: Question): Promise<void> => {
    const serve = waiting.get(id)?.serve as ((...args: readonly unknown[]) => Promise<unknown>) | undefined;
    const answer = await serve?.(...args).then(
      (value) => ({ question, value }),
      (error) => ({ question, refusal: refusalOf(error) }),
    );
    post(answer ?? { question });
  };
  const settleCall = ({ id, round, value, refusal }: Answer): void => {
    rounds = round;
    const call = waiting.get(id);
    waiting.delete(id);
    if (refusal) call?.reject(new Fault(refusal.code, refusal.message));
    else call?.resolve(value);
  };
  const expectAnswer = <T>(id: number, serve?: Waiting['serve']): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (broken) reject(broken);
      else waiting.set(id, { resolve: resolve as (value: unknown) => void, reject, serve });
    });
  const serving = <T>(serve: Waiting['serve'], name: Method, ...args: readonly unknown[]): Promise<T> => {
    const answer = expectAnswer<T>(++calls, serve);
    post({ id: calls, name, args });
    return answer;
  };
  const call = <T>(name: Method, ...args: readonly unknown[]): Promise<T> => serving<T>(undefined, name, ...args);

  return {
    opened: expectAnswer<void>(0),
    hear(message) {
      if ('question' in message) void reply(message);
      else settleCall(message);
    },
    fail(fault) {
      broken ??= fault;
      for (const { reject } of waiting.values()) reject(broken);
      waiting.clear();
    },
    replica: {
      round: () => rounds,
      apply: (...args) => call('apply', ...args),
      revise: (...args) => call('revise', ...args),
      measure: (...args) => call('measure', ...args),
      evaluate: () => call('evaluate'),
      checksum: () => call('checksum'),
      root: () => call('root'),
      leaves: () => call('leaves'),
      snapshot: (write) => serving(write, 'snapshot'),
      restore: (round, { name, size, read }, ...rest) => serving(read, 'restore', round, { name, size }, ...rest),
      sums: (rounds) => serving(rounds, 'sums'),
      compose: (...args) => call('compose', ...args),
      slopes: (...args) => call('slopes', ...args),
      generate: (...args) => call('generate', ...args),
      classify: (...args) => call('classify', ...args),
      tensor: (...args) => call('tensor', ...args),
      adjust: (...args) => call('adjust', ...args),
      ...(exchanges && {
        exchange: {
          merge: (...args) => call('merge', ...args),
          train: (...args) => call('train', ...args),
          share: (...args) => call('share', ...args),
          sum: (...args) => call('sum', ...args),
          settle: (...args) => call('settle', ...args),
          sizes: () => call('sizes'),
          memory: () => call('memory'),
          recall: (...args) => call('recall', ...args),
        },
      }),
    },
  };
}

type Ask = (...args: readonly unknown[]) => Promise<never>;

/** The arguments of methods that take functions. */
const ARGUMENTS: Partial<Record<Call['name'], (ask: Ask, args: readonly unknown[]) => readonly unknown[]>> = {
  snapshot: (ask) => [ask],
  sums: (ask) => [ask],
  restore: (ask, [round, source, ...rest]) => [round, { ...(source as object), read: ask }, ...rest],
};

/** What the answering end has opened. Only some engines can be given other threads. */
export interface Answering {
  readonly replica: Omit<OpenedReplica, 'close'> & Partial<Pick<ThreadedReplica, 'adjust'>>;
  /** Wraps every call. */
  attend<T>(call: () => Promise<T>): Promise<T>;
}

/**
 * The end that answers.
 * @param post sends a message to the other end. @returns what takes the messages of the other end.
 */
export function answerCalls(
  post: (message: Answer | Question) => void,
  opening: Promise<Answering>,
): (message: Call | Reply) => Promise<void> {
  /** Questions that calls in progress have put, by number. */
  const open = new Map<number, { resolve(value: unknown): void; reject(error: Fault): void }>();
  let questions = 0;

  /** Functions do not cross threads: what a method would call there, it asks for. */
  const askOf =
    (id: number): Ask =>
    (...args) =>
      new Promise((resolve, reject) => {
        open.set(++questions, { resolve: resolve as (value: unknown) => void, reject });
        post({ id, question: questions, args });
      });

  opening.then(
    () => post({ id: 0, round: 0, value: undefined }),
    (error) => post({ id: 0, round: 0, refusal: refusalOf(error) }),
  );

  return async (message) => {
    if ('question' in message) {
      const { question, value, refusal } = message;
      const asker = open.get(question);
      open.delete(question);
      if (refusal) asker?.reject(new Fault(refusal.code, refusal.message));
      else asker?.resolve(value);
      return;
    }
    const { id, name, args } = message;
    const { replica, attend } = await opening;
    try {
      const own = ARGUMENTS[name]?.(askOf(id), args) ?? args;
      const call = { ...replica, ...replica.exchange }[name] as (...args: readonly unknown[]) => Promise<unknown>;
      const value = await attend(() => call(...own));
      post({ id, round: replica.round(), value });
    } catch (error) {
      post({ id, round: replica.round(), refusal: refusalOf(error) });
    }
  };
}
