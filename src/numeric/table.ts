/**
 * A map from u32 that is never changed: `set` and `delete` give another one and share with it all but a path of at most
 * seven nodes. What remembers a thousand peers can so be rewritten at every event, and what it was before still stands.
 *
 * A trie with 32 branches a node, as high as the largest key wants; keys come in ascending order.
 *
 * @module
 */
const BITS = 5;
const WIDTH = 1 << BITS;
/** Seven levels hold every u32. */
const MAX_SHIFT = 30;

/** At the bottom 32 values, above 32 nodes; undefined where nothing is. */
type Node = readonly unknown[];

/** The digit of `key` at a level; its lowest is at 0. */
const digit = (key: number, shift: number): number => (key >>> shift) & (WIDTH - 1);

function withValue(node: Node | undefined, shift: number, key: number, value: unknown): Node {
  const copy = node === undefined ? new Array<unknown>(WIDTH).fill(undefined) : node.slice();
  const at = digit(key, shift);
  copy[at] = shift === 0 ? value : withValue(copy[at] as Node | undefined, shift - BITS, key, value);
  return copy;
}

/** @param node holds `key`. @returns undefined where nothing is left. */
function without(node: Node, shift: number, key: number): Node | undefined {
  const copy = node.slice();
  const at = digit(key, shift);
  copy[at] = shift === 0 ? undefined : without(copy[at] as Node, shift - BITS, key);
  return copy.every((entry) => entry === undefined) ? undefined : copy;
}

function visit(node: Node | undefined, shift: number, prefix: number, see: (key: number, value: unknown) => void) {
  if (node === undefined) return;
  for (let i = 0; i < WIDTH; i++) {
    const entry = node[i];
    if (entry === undefined) continue;
    const key = (prefix | (i << shift)) >>> 0;
    if (shift === 0) see(key, entry);
    else visit(entry as Node, shift - BITS, key, see);
  }
}

/** Keys below a node under which `a` and `b` differ: what they share is not looked at. */
function compare(a: Node | undefined, b: Node | undefined, shift: number, prefix: number, found: number[]): void {
  if (a === b) return;
  for (let i = 0; i < WIDTH; i++) {
    const [x, y] = [a?.[i], b?.[i]];
    if (x === y) continue;
    const key = (prefix | (i << shift)) >>> 0;
    if (shift === 0) found.push(key);
    else compare(x as Node | undefined, y as Node | undefined, shift - BITS, key, found);
  }
}

export class Table<V extends {}> implements ReadonlyMap<number, V> {
  readonly size: number;
  readonly #root: Node | undefined;
  /** Of the root's digit. */
  readonly #shift: number;

  private constructor(root: Node | undefined, shift: number, size: number) {
    this.#root = root;
    this.#shift = shift;
    this.size = size;
  }

  static of<V extends {}>(entries: Iterable<readonly [number, V]> = []): Table<V> {
    let table = new Table<V>(undefined, 0, 0);
    for (const [key, value] of entries) table = table.set(key, value);
    return table;
  }

  get(key: number): V | undefined {
    if (!this.#reaches(key)) return undefined;
    let node = this.#root;
    for (let shift = this.#shift; shift > 0 && node !== undefined; shift -= BITS)
      node = node[digit(key, shift)] as Node | undefined;
    return node?.[digit(key, 0)] as V | undefined;
  }

  has(key: number): boolean {
    return this.get(key) !== undefined;
  }

  /** @throws {RangeError} for a key that is no u32 */
  set(key: number, value: V): Table<V> {
    if (key >>> 0 !== key) throw new RangeError(`"key" expected a u32, got ${key}`);
    const before = this.get(key);
    if (before === value) return this;
    const { root, shift } = this.#raised(key);
    return new Table(withValue(root, shift, key, value), shift, before === undefined ? this.size + 1 : this.size);
  }

  delete(key: number): Table<V> {
    if (!this.has(key)) return this;
    return new Table<V>(without(this.#root!, this.#shift, key), this.#shift, this.size - 1);
  }

  /** Keys whose values are not the same in `before`, ascending: those of one of the two included. */
  changedSince(before: Table<V>): number[] {
    const found: number[] = [];
    const shift = Math.max(this.#shift, before.#shift);
    compare(before.#lifted(shift), this.#lifted(shift), shift, 0, found);
    return found;
  }

  keys(): MapIterator<number> {
    return this.#collect((key) => key);
  }

  values(): MapIterator<V> {
    return this.#collect((_, value) => value);
  }

  entries(): MapIterator<[number, V]> {
    return this.#collect((key, value) => [key, value]);
  }

  [Symbol.iterator](): MapIterator<[number, V]> {
    return this.entries();
  }

  forEach(callback: (value: V, key: number, map: ReadonlyMap<number, V>) => void): void {
    this.#visit((key, value) => callback(value, key, this));
  }

  #collect<T>(make: (key: number, value: V) => T): MapIterator<T> {
    const found: T[] = [];
    this.#visit((key, value) => found.push(make(key, value)));
    return found.values();
  }

  #visit(see: (key: number, value: V) => void): void {
    visit(this.#root, this.#shift, 0, see as (key: number, value: unknown) => void);
  }

  /** Whether the root is high enough for `key`. */
  #reaches(key: number): boolean {
    return key >>> 0 === key && (this.#shift === MAX_SHIFT || key >>> (this.#shift + BITS) === 0);
  }

  #raised(key: number): { readonly root: Node | undefined; readonly shift: number } {
    let shift = this.#shift;
    while (shift < MAX_SHIFT && key >>> (shift + BITS) > 0) shift += BITS;
    return { root: this.#lifted(shift), shift };
  }

  /** The root under as many more as it takes to reach `shift`. */
  #lifted(shift: number): Node | undefined {
    let root = this.#root;
    for (let at = this.#shift; root !== undefined && at < shift; at += BITS) {
      const above = new Array<unknown>(WIDTH).fill(undefined);
      above[0] = root;
      root = above;
    }
    return root;
  }
}
