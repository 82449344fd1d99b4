/**
 * What is added to the weights while a loss is measured.
 *
 * @module
 */
import type { Form } from '../model/stage.ts';
import type { DirectionKey, DirectionKind, Precision } from '../nouns.ts';
import type { Kept } from '../numeric/mask.ts';

/**
 * `delta` is eps · scale, the length of one unit of noise. Tensors that are not `kept` stay as they are on both sides.
 * `precision` is that of `Form`, f32 if absent. A dense direction has none: it is part of the weights, and would be lost
 * when they are rounded to bytes.
 */
export type Perturbation =
  | { readonly kind: 'none'; readonly precision?: Precision }
  /**
   * One direction for each batch, materialised: lane 0 is θ + delta z, lane 1 is θ - delta z. Neighbouring batches with
   * the same key share its making.
   */
  | {
      readonly kind: 'dense';
      readonly noise: DirectionKind;
      readonly rank: number;
      readonly delta: number;
      /** (batches) */
      readonly keys: readonly DirectionKey[];
      readonly kept: Kept;
    }
  /**
   * One low-rank direction for each pair of sequences: 2i gets +delta z, 2i + 1 gets -delta z. Both must be the same
   * example.
   */
  | {
      readonly kind: 'sided';
      readonly rank: number;
      readonly delta: number;
      /** (batches)(S/2) */
      readonly keys: readonly (readonly DirectionKey[])[];
      readonly kept: Kept;
      readonly precision?: Precision;
    };

export type Dense = Perturbation & { readonly kind: 'dense' };
export type Sided = Perturbation & { readonly kind: 'sided' };

/** Copies of the weights that a call needs at once: two for a dense pair of measurements. */
export const lanesOf = ({ kind }: Pick<Perturbation, 'kind'>): number => (kind === 'dense' ? 2 : 1);

/** Precision of the products with weights. */
export const precisionOf = (p: PerturbationKind): Precision => (p.kind === 'dense' ? 'f32' : (p.precision ?? 'f32'));

export function formOf(p: PerturbationKind): Form {
  const precision = precisionOf(p);
  return p.kind === 'sided' ? { kind: 'sided', rank: p.rank, precision } : { kind: 'plain', precision };
}

/** What of a perturbation decides how much scratch it takes. */
export type PerturbationKind =
  | Extract<Perturbation, { readonly kind: 'none' }>
  | Pick<Dense, 'kind'>
  | Pick<Sided, 'kind' | 'rank' | 'precision'>;
