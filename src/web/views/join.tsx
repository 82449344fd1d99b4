/**
 * How to take part, from this browser, from a phone or from a command line.
 *
 * @module
 */
import type { ViewProps } from '../app.tsx';
import { Empty } from '../parts.tsx';

export function JoinView({ store: { status } }: ViewProps) {
  return <Empty>{status.value?.links}</Empty>;
}
