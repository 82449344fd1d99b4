/**
 * The keys of a run file that only methods have whose peers exchange vectors. `keys.ts` has all others.
 *
 * @module
 */
import { z } from 'zod';
import type { Format, Robust } from '../nouns.ts';

export interface ExchangeKeys {
  readonly inner_steps: number | undefined;
  readonly outer_learning_rate: number;
  readonly outer_momentum: number;
  readonly exchange_format: Format;
  readonly fragments: number;
  readonly overlap_steps: number;
  readonly mixing: number;
  readonly data_parts: number;
  readonly dropped_shares: number;
  readonly aggregation: 'mean' | Robust;
  readonly byzantine: number;
  readonly shard_optimizer: boolean;
}

const count = (least: number) => z.int().min(least).max(1_000_000_000);

export const exchangeKeySchemas: { readonly [K in keyof ExchangeKeys]: z.ZodType<ExchangeKeys[K]> } = {
  inner_steps: count(1)
    .max(65_536)
    .optional()
    .describe(
      'Steps of a peer between two merges of a weight: diloco 500, monna 1 by default. dpu, acco: batches of a merge at most.',
    ),
  outer_learning_rate: z.number().gt(0).max(10).default(0.7).describe('diloco: rate of the outer step.'),
  outer_momentum: z.number().min(0).lt(1).default(0.9).describe("diloco: Nesterov's momentum of the outer step."),
  exchange_format: z
    .enum(['f32', 'f16', 'int8', 'e3m0'])
    .default('f32')
    .describe(
      'Of what peers exchange: a value on the wire: 4, 2, 1 or half a byte, then made smaller by a compressor.',
    ),
  fragments: count(1).max(1000).default(1).describe('diloco: groups of blocks that are merged in turn (streaming).'),
  overlap_steps: count(0).default(0).describe('diloco: steps that a peer goes on with while a merge is on its way.'),
  mixing: z.number().min(0).max(1).default(0.5).describe('diloco: what a peer keeps of its own after such steps.'),
  data_parts: count(1).default(1).describe('Peers that exchange: cut the data in so many parts, and give a peer one.'),
  dropped_shares: z.number().min(0).lt(1).default(0).describe('diloco: part of the shares that are lost, as a study.'),
  aggregation: z
    .enum(['mean', 'median', 'trimmed_mean', 'geometric_median', 'krum', 'multi_krum', 'mda', 'nna'])
    .default('mean')
    .describe(
      'How the shares of peers are made one, or their codes along shared directions. All but the mean bear with a few that lie.',
    ),
  byzantine: count(1).max(1024).default(1).describe('aggregation: peers that may lie at most.'),
  shard_optimizer: z
    .boolean()
    .default(false)
    .describe('Peers make the merges, some parts each, and keep what the optimizer keeps of these; not the host.'),
};
