/**
 * The keys of a run file for private data, and the manifest they make. `keys.ts` has all others.
 *
 * @module
 */
import { z } from 'zod';
import type { Privacy } from '../nouns.ts';

export interface PrivacyKeys {
  readonly dp_noise_multiplier: number | undefined;
  readonly dp_clip: number;
  readonly dp_epochs: number;
  readonly dp_delta: number;
}

export const privacyKeySchemas: { readonly [K in keyof PrivacyKeys]: z.ZodType<PrivacyKeys[K]> } = {
  dp_noise_multiplier: z
    .number()
    .min(0.1)
    .max(100)
    .optional()
    .describe(
      'Differential privacy: noise that each peer adds to a record, in units of what one example can change in it.',
    ),
  dp_clip: z
    .int()
    .min(1)
    .max(32_767)
    .default(128)
    .describe('dp_noise_multiplier: largest slope of one example, in codes; the median record begins at 32.'),
  dp_epochs: z.int().min(1).max(1_000_000).default(1).describe('dp_noise_multiplier: times an example may be read.'),
  dp_delta: z
    .number()
    .gt(0)
    .lt(1)
    .default(1e-5)
    .describe('dp_noise_multiplier: the chance that the bound epsilon does not hold.'),
};

/** What the manifest says of it. Absent: nothing is promised. */
export const privacyOf = ({
  dp_noise_multiplier: noise_multiplier,
  dp_clip: clip,
  dp_epochs: epochs,
  dp_delta: delta,
}: PrivacyKeys): Privacy | undefined =>
  noise_multiplier === undefined ? undefined : { noise_multiplier, clip, epochs, delta };
