/**
 * How a person likes to see curves: kept in the browser, where it lets us.
 *
 * @module
 */
import { effect, type Signal, signal } from '@preact/signals';

const known = new Map<string, Signal<unknown>>();

/** The setting of that name, or `fallback` where there is none of this kind. */
export function kept<T>(name: string, fallback: T): Signal<T> {
  const found = known.get(name);
  if (found) return found as Signal<T>;
  const made = signal(stored(name, fallback));
  known.set(name, made);
  effect(() => {
    const text = JSON.stringify(made.value);
    try {
      localStorage.setItem(`murmur.${name}`, text);
    } catch {
      // Private windows may refuse: then it lasts as long as the page.
    }
  });
  return made;
}

function stored<T>(name: string, fallback: T): T {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(`murmur.${name}`) ?? 'null');
    return typeof value === typeof fallback ? (value as T) : fallback;
  } catch {
    return fallback;
  }
}
