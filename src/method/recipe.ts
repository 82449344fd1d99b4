/**
 * What a method is, as data: the keys of a run file that its paper sets, and what it keeps of the promises of a run.
 *
 * @module
 */

/**
 * How the steps of a method add up (DESIGN 4). `sum`: order is nothing over the whole run, and a record can be taken
 * back. `fold`: rounds follow each other and leave a state; order is nothing within a round only. `local`: a gradient of
 * many floats, which no byte carries: for one machine. `exchange`: peers exchange vectors, and the journal names what they
 * came to by hash; order is all, and no share can be taken back.
 */
export type Algebra = 'sum' | 'fold' | 'local' | 'exchange';

export interface Recipe {
  /** As `method` takes it. */
  readonly name: string;
  /** One line for `--help`. */
  readonly summary: string;
  /** Page under docs/papers. */
  readonly page: string;
  readonly algebra: Algebra;
  /** Keys of a run file and their values; what the user gives wins. */
  readonly keys: Readonly<Record<string, string | number | boolean>>;
}
