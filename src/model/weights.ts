/**
 * The weights of a replica: int32 fixed point, one exponent a tensor (docs/NUMBERS.md 1). They lie in **pages**, the
 * tensors that are used together: one for each block, one for everything else. A page is lent to whoever visits it, in
 * the memory of the kernels that read and update it; where it lies otherwise is the business of its `Shelf`.
 *
 * Updates are owed until a tensor is next looked at: its rounds are then added in one go, just before its weights are
 * made floats, so that a round costs no pass over memory of its own.
 *
 * @module
 */
import { size } from '../graph/shape.ts';
import type { DirectionKind } from '../nouns.ts';
import { exponentFor, MAX_BASE_Q, magnitudeOf, quantise } from '../numeric/fixed.ts';
import type { Kernels, Term } from '../numeric/kernels.ts';
import type { Scratch } from '../numeric/scratch.ts';
import { merged } from '../numeric/terms.ts';
import type { Model, TensorSpec } from './stage.ts';

/** A tensor as integers: a weight is q · 2^exponent. */
export interface Fixed extends TensorSpec {
  readonly exponent: number;
  /** Elements that directions move, where a run has an element mask: see `TensorNoise`. */
  readonly moved?: Uint32Array;
}

export interface Tensor extends Fixed {
  /** Row-major, in the memory of the page's kernels. */
  readonly q: Int32Array;
}

/** Tensors that are used together, in memory and up to date while they are visited. */
export interface Page {
  readonly kernels: Kernels;
  /** In the memory of the same kernels. */
  readonly scratch: Scratch;
  tensor(name: string): Tensor;
  /** Overwrites elements of a tensor from `first` on. What was owed to the tensor is forgotten. */
  replace(name: string, first: number, q: Int32Array): void;
}

/** What a tensor is owed: Σ c z over the terms. */
export interface Debt {
  readonly kind: DirectionKind;
  readonly rank: number;
  /** Whether other debts have terms along the same directions: those are added up before they are paid. */
  readonly recurring?: boolean;
  terms(tensor: Fixed, kernels: Kernels): readonly Term[];
}

export interface Weights {
  /** By id. */
  readonly tensors: readonly Fixed[];
  /** By id: max |q| is at most this when every debt is paid. */
  readonly reach: Float64Array;
  /** To every tensor. Order is nothing: sums wrap modulo 2^32. */
  owe(debt: Debt): void;
  /** Lends the page that holds the tensor `name`. */
  visit<T>(name: string, work: (page: Page) => T | Promise<T>): Promise<T>;
  /**
   * Makes one debt of all, with one term for each direction: what is owed along a few directions takes no more memory
   * than they, and no more time to pay, however many records it is of. All debts must be of one kind and rank.
   */
  gather(): Promise<void>;
  /** Pays what is owed to one more page. @returns false when there was none. */
  settleOne(): Promise<boolean>;
  close(): Promise<void>;
}

/** A page in memory. */
export interface Held {
  readonly kernels: Kernels;
  readonly scratch: Scratch;
  /** By name. */
  readonly arrays: ReadonlyMap<string, Int32Array>;
  /** The arrays may go. @param changed whether they were written to. */
  release(changed: boolean): void;
}

/** Where pages lie: in memory for good (`resident.ts`), or on disk (`offloaded.ts`). */
export interface Shelf {
  hold(page: number): Promise<Held>;
  close(): Promise<void>;
}

/** The tensors of each page, by id within. Page 0 holds what belongs to no block, such as a head tied to the embedding. */
export function pagesOf({ tensors, blocks }: Pick<Model, 'tensors' | 'blocks'>): readonly (readonly TensorSpec[])[] {
  const home = new Map(blocks.flatMap(({ bindings }, i) => bindings.map(({ tensor }) => [tensor, i + 1] as const)));
  const pages: TensorSpec[][] = Array.from({ length: blocks.length + 1 }, () => []);
  for (const spec of tensors) pages[home.get(spec.name) ?? 0]!.push(spec);
  return pages;
}

/** Elements of these tensors together. */
export const elementsOf = (tensors: readonly TensorSpec[]): number =>
  tensors.reduce((sum, { shape }) => sum + size(shape), 0);

/** Elements of a base that are read at once. */
export const READ: number = 2 ** 22;

/**
 * Fixes the weights of a base checkpoint.
 * @param read gives `count` elements of a tensor from `first` on, as f32, row-major.
 * @param movedIn the elements of a tensor that directions move, by its integers; absent: all, of every tensor.
 * @throws {Fault} MODEL_INVALID on NaN and infinities.
 */
export async function fixWeights(
  model: Pick<Model, 'tensors' | 'blocks'>,
  shelf: Shelf,
  read: (name: string, first: number, count: number) => Promise<Float32Array>,
  movedIn?: (tensor: TensorSpec, q: Int32Array) => Uint32Array,
): Promise<Weights> {
  const fixed = new Map<string, Fixed>();
  const pages = pagesOf(model);
  for (const [i, page] of pages.entries()) {
    const { arrays, release } = await shelf.hold(i);
    for (const spec of page) {
      const q = arrays.get(spec.name)!;
      const parts = Array.from({ length: Math.ceil(q.length / READ) }, (_, k) => k * READ);
      let magnitude = 0;
      for (const first of parts) {
        const base = await read(spec.name, first, Math.min(READ, q.length - first));
        magnitude = magnitudeOf(base, spec.name, first, magnitude);
      }
      const exponent = exponentFor(magnitude);
      for (const first of parts) {
        const count = Math.min(READ, q.length - first);
        quantise(await read(spec.name, first, count), exponent, q.subarray(first, first + count));
      }
      fixed.set(spec.name, { ...spec, exponent, ...(movedIn ? { moved: movedIn(spec, q) } : {}) });
    }
    release(true);
  }
  return weightsOn(shelf, pages, fixed);
}

function weightsOn(
  shelf: Shelf,
  pages: readonly (readonly TensorSpec[])[],
  fixed: ReadonlyMap<string, Fixed>,
): Weights {
  const tensors = [...fixed.values()].sort((a, b) => a.id - b.id);
  const home = new Map(pages.flatMap((page, i) => page.map(({ name }) => [name, i] as const)));
  const debts: Debt[] = [];
  /** Debts that every tensor has been paid, and that are no longer in the list. */
  let forgotten = 0;
  /** By id: debts paid. */
  const paid = new Float64Array(tensors.length);

  const owed = ({ id }: TensorSpec): readonly Debt[] => debts.slice(paid[id]! - forgotten);

  function markPaid({ id }: TensorSpec): void {
    paid[id] = forgotten + debts.length;
    const everywhere = paid.reduce((a, b) => Math.min(a, b)) - forgotten;
    debts.splice(0, everywhere);
    forgotten += everywhere;
  }

  /** Pays a tensor: in one call of the kernels, as all debts of a run are of one kind. @returns whether q changed. */
  function settle(tensor: Tensor, kernels: Kernels): boolean {
    const due = owed(tensor);
    if (due.length > 0) markPaid(tensor);
    let changed = false;
    for (let next = 0; next < due.length; ) {
      const { kind, rank } = due[next]!;
      const terms: Term[] = [];
      for (; next < due.length && due[next]!.kind === kind && due[next]!.rank === rank; next++)
        for (const term of due[next]!.terms(tensor, kernels)) terms.push(term);
      if (terms.length === 0) continue;
      kernels.apply(tensor.q, tensor, kind, rank, due[0]!.recurring ? merged(terms) : terms);
      changed = true;
    }
    return changed;
  }

  function fixedOf(name: string): Fixed {
    const tensor = fixed.get(name);
    if (!tensor) throw new RangeError(`"name" expected a tensor of the model, got "${name}"`);
    return tensor;
  }

  const weights: Weights = {
    tensors,
    reach: new Float64Array(tensors.length).fill(MAX_BASE_Q),
    owe: (debt) => void debts.push(debt),
    async visit(name, work) {
      const { kernels, scratch, arrays, release } = await shelf.hold(home.get(fixedOf(name).name)!);
      let changed = false;
      const page: Page = {
        kernels,
        scratch,
        tensor(own) {
          const tensor = { ...fixedOf(own), q: arrays.get(own)! };
          if (settle(tensor, kernels)) changed = true;
          return tensor;
        },
        replace(own, first, q) {
          const tensor = fixedOf(own);
          arrays.get(own)!.set(q, first);
          weights.reach[tensor.id] = Number.POSITIVE_INFINITY; // looked at when something is next added to it
          markPaid(tensor);
          changed = true;
        },
      };
      try {
        return await work(page);
      } finally {
        release(changed);
      }
    },
    async gather() {
      const [first] = debts;
      if (!first) return;
      const sums = new Map<number, readonly Term[]>();
      for (const page of pages.filter(({ length }) => length > 0))
        await weights.visit(page[0]!.name, ({ kernels }) => {
          for (const tensor of page.map(({ name }) => fixedOf(name)))
            sums.set(tensor.id, merged(owed(tensor).flatMap((debt) => debt.terms(tensor, kernels))));
        });
      debts.splice(0, debts.length, { ...first, terms: ({ id }) => sums.get(id)! });
      paid.fill(forgotten);
    },
    async settleOne() {
      const behind = pages.findIndex((page) => page.some((spec) => owed(spec).length > 0));
      if (behind < 0) return false;
      const names = pages[behind]!.map(({ name }) => name);
      await weights.visit(names[0]!, (page) => {
        for (const name of names) page.tensor(name);
      });
      return true;
    },
    close: () => shelf.close(),
  };
  return weights;
}
