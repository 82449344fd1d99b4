/**
 * What the run was told: the settings that are not the defaults, and the command that gives the same run again.
 *
 * @module
 */
import type { ViewProps } from '../app.tsx';
import { Empty } from '../parts.tsx';

export function ConfigView({ store: { book } }: ViewProps) {
  return <Empty>{book.value.ledger?.manifest.method}</Empty>;
}
