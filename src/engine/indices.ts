/**
 * Indices, checked on the way in. Of `gather` and `pick` a CPU refuses one that is out of range, where a GPU reads some
 * other row and says nothing; of `oneHot` neither refuses it.
 *
 * @module
 */
import type { Graph, Op, Shape } from '../nouns.ts';
import type { TypedArray } from '../ports.ts';

/** An array of indices, and what each must stay below. */
interface Indexing {
  readonly name: string;
  readonly limit: number;
}

/** Which input of an op is an index, and what its elements must stay below. */
function indexOf(op: Op, data: Shape): readonly [input: number, limit: number] | undefined {
  if (op.op === 'gather') return [1, data[0]!];
  if (op.op === 'pick') return [1, data[1]!];
  return op.op === 'oneHot' ? [0, op.depth] : undefined;
}

/**
 * @param trusted ops whose indices the device checks itself.
 * @throws {RangeError} where an index is computed by the program, so that nobody sees it before it is used.
 */
export function indexingOf(
  { nodes, inputs, constants }: Graph,
  trusted: readonly Op['op'][] = [],
): readonly Indexing[] {
  const shapes = new Map(
    [...inputs, ...constants, ...nodes.map(({ output }) => output)].map(({ name, shape }) => [name, shape]),
  );
  return nodes.flatMap(({ op, inputs: own }) => {
    const [input, limit] = indexOf(op, shapes.get(own[0]!) ?? []) ?? [];
    if (input === undefined || limit === undefined || trusted.includes(op.op)) return [];
    const name = own[input]!;
    if (!inputs.some((value) => value.name === name)) throw new RangeError(`"${name}" of ${op.op} is not an input`);
    return [{ name, limit }];
  });
}

/** @throws {RangeError} naming the feed and its first index that is out of range */
export function checkIndices(indexing: readonly Indexing[], feeds: Readonly<Record<string, TypedArray>>): void {
  for (const { name, limit } of indexing) {
    const wrong = feeds[name]!.find((index) => !(index >= 0 && index < limit));
    if (wrong !== undefined) throw new RangeError(`index ${wrong} of "${name}" is not in 0 … ${limit - 1}`);
  }
}
