/**
 * What `murmur doctor` finds: one thing looked at, what was there, and what to do about it.
 *
 * @module
 */
export interface Check {
  /** What was looked at. */
  readonly check: string;
  /** `warn`: it will do, and could be better. `fail`: it will not. */
  readonly state: 'ok' | 'warn' | 'fail';
  readonly found: string;
  readonly remedy?: string;
}

/** Of a clock, at the same moments. */
export interface Readings {
  /** Milliseconds, monotonic. */
  readonly steady: readonly number[];
  /** Milliseconds of the day. */
  readonly wall: readonly number[];
}

/** Found as it should be, or not, and then with what to do. */
export const checked = (check: string, state: Check['state'], found: string, remedy: string): Check =>
  state === 'ok' ? { check, state, found } : { check, state, found, remedy };
