/**
 * What a run with a pool of directions has come to (FedKSeed, arXiv:2312.06353, section 3.2: one accumulator for each
 * seed): Σ c of every direction on every tensor, modulo 2^32 like the weights. The base and these are the weights,
 * however many rounds they are of.
 *
 * @module
 */
import type { Debt, Weights } from '../model/weights.ts';
import type { Direction } from '../nouns.ts';
import type { Term } from '../numeric/kernels.ts';
import { poolKey } from '../numeric/names.ts';
import { unseen } from './apply.ts';

/** Sums in the making. */
export interface Tally {
  /** A round, or what is left of one, was owed to the weights. */
  add(debt: Debt): void;
  /** Adds up what came since the last call. */
  fold(): Promise<void>;
  /** (tensors, pool) Σ c, in the order of the ids. Folded sums only. */
  readonly sums: Int32Array;
}

/** @param ids tensors that the run may move. */
export function openTally(weights: Weights, ids: readonly number[], pool: number): Tally {
  const sums = new Int32Array(ids.length * pool);
  let debts: Debt[] = [];
  return {
    sums,
    add: (debt) => void debts.push(debt),
    async fold() {
      const due = debts;
      debts = [];
      if (due.length === 0) return;
      await weights.visit(weights.tensors[0]!.name, ({ kernels }) => {
        for (const [row, id] of ids.entries())
          for (const debt of due)
            for (const { key, c } of debt.terms(weights.tensors[id]!, kernels)) sums[row * pool + key.sample]! += c;
      });
    },
  };
}

/** What these weights are owed goes into the tally alone. */
export const tallied = (weights: Weights, { add }: Tally): Weights => ({ ...unseen(weights), owe: add });

/** Owes sums to weights. @param sums (tensors, pool), as in `Tally`. @param sign -1 takes back what was owed. */
export function oweSums(
  weights: Weights,
  { kind, rank }: Direction,
  run: number,
  ids: readonly number[],
  sums: Int32Array,
  sign: 1 | -1 = 1,
): void {
  const pool = sums.length / ids.length;
  const rows = new Map(ids.map((id, row) => [id, sums.subarray(row * pool, (row + 1) * pool)]));
  weights.owe({
    ...{ kind, rank, recurring: true },
    terms({ id }) {
      const terms: Term[] = [];
      for (const [sample, sum] of (rows.get(id) ?? []).entries())
        if (sum !== 0) terms.push({ key: poolKey(run, sample), c: Math.imul(sign, sum) });
      return terms;
    },
  });
}
