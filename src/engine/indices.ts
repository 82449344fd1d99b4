/**
 * Indices of `gather` and `pick`, checked on the way in: a CPU refuses one that is out of range, a GPU reads some other
 * row and says nothing.
 *
 * @module
 */
import type { Graph } from '../nouns.ts';
import type { TypedArray } from '../ports.ts';

/** An array of indices, and what each must stay below. */
interface Indexing {
  readonly name: string;
  readonly limit: number;
}

/** @throws {RangeError} where an index is computed by the program, so that nobody sees it before it is used. */
export function indexingOf({ nodes, inputs }: Graph): readonly Indexing[] {
  const shapes = new Map([...inputs, ...nodes.map(({ output }) => output)].map(({ name, shape }) => [name, shape]));
  return nodes.flatMap(({ op, inputs: [data, index] }) => {
    if (op.op !== 'gather' && op.op !== 'pick') return [];
    if (!inputs.some(({ name }) => name === index)) throw new RangeError(`"${index}" of ${op.op} is not an input`);
    return [{ name: index!, limit: shapes.get(data!)![op.op === 'gather' ? 0 : 1]! }];
  });
}

/** @throws {RangeError} naming the feed and its first index that is out of range */
export function checkIndices(indexing: readonly Indexing[], feeds: Readonly<Record<string, TypedArray>>): void {
  for (const { name, limit } of indexing) {
    const wrong = feeds[name]!.find((index) => !(index >= 0 && index < limit));
    if (wrong !== undefined) throw new RangeError(`index ${wrong} of "${name}" is not in 0 … ${limit - 1}`);
  }
}
