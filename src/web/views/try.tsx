/**
 * A text of one's own, before the base and the tuned model.
 *
 * @module
 */
import type { ViewProps } from '../app.tsx';
import { Empty } from '../parts.tsx';

export function TryView({ store: { status } }: ViewProps) {
  return <Empty>{status.value?.kind}</Empty>;
}
