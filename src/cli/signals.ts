/**
 * Ctrl+C: once is a request, twice is an order.
 *
 * @module
 */
import type { Output } from './output.ts';

/** @returns stops listening. */
export function onInterrupt(
  { first, second }: { readonly first: () => void; readonly second: () => void },
  output: Output,
): () => void {
  let count = 0;
  const hear = (): void => {
    count++;
    if (count === 1) {
      output.note('finishing the round; press Ctrl+C again to leave at once');
      first();
    } else second();
  };
  process.on('SIGINT', hear);
  process.on('SIGTERM', hear);
  return () => {
    process.off('SIGINT', hear);
    process.off('SIGTERM', hear);
  };
}
