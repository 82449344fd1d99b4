/**
 * What limits the harm of peers that lie: votes on shared directions, audits of the others; and noise against those that read.
 *
 * @module
 */

/**
 * Codes of one shared direction are votes of the peers that measured it, of which up to `byzantine` may lie: one number
 * is made of them, and stands for all (docs/NUMBERS.md 6). `nna`: peers far from the medians of a round are left out of it.
 */
export interface ScalarAggregation {
  readonly rule: 'median' | 'trimmed_mean' | 'nna';
  readonly byzantine: number;
}

/** Noise that hides what any one example adds to a record (`estimator/privacy.ts`). */
export interface Privacy {
  /** Standard deviation of the noise over what replacing an example can change. */
  readonly noise_multiplier: number;
  /** Largest slope of an example, in codes. */
  readonly clip: number;
  /** Times that an example is read, at most. */
  readonly epochs: number;
  /** δ of what is promised. */
  readonly delta: number;
}

/** What a member of a redundancy group delivered: the codes of a prefix of the group's range. */
export interface AuditClaim {
  readonly slot: number;
  readonly codes: Int8Array;
}

/**
 * Records of the round to come that several peers measured, without knowing of each other. The round takes those of one
 * of them (`numeric/audit.ts` says whose); all of them are here, so that nobody's receipt is broken and anyone can check.
 */
export interface Audit {
  readonly round: number;
  /** First record of the range. */
  readonly from: number;
  /** Two or three, slots ascending. */
  readonly claims: readonly AuditClaim[];
}
