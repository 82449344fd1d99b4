/**
 * The manifest as bytes: canonical JSON, and what a manifest from someone else must satisfy before anybody acts on
 * it. Meaning is checked by those who use a key; here only kinds, ranges, and that paths stay inside their folder.
 *
 * @module
 */
import { z } from 'zod';
import {
  type Exchange,
  type FirstOrder,
  MAX_RECORDS_PER_ROUND,
  type Manifest,
  type Optimizer,
  type Task,
} from '../nouns.ts';
import type { Codec } from '../numeric/codec.ts';
import { MAX_RANK, MAX_TENSORS } from '../numeric/noise.ts';
import { fromUtf8, toUtf8 } from '../numeric/text.ts';
import { canonicalJson } from './canonical.ts';

const u32 = z.int().min(0).max(0xffff_ffff);
const count = u32.min(1);
const hash = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits, lower case');
const nonNegative = z.number().min(0);
const positive = z.number().gt(0);

/** A relative path of plain names: peers write files at these paths, and the sender may be hostile. */
const path = z
  .string()
  .max(255)
  .regex(/^[^\p{Cc}\\:]+$/u, 'expected a path of plain names')
  .refine((value) => value.split('/').every((part) => part !== '' && part !== '.' && part !== '..'), {
    error: 'expected a path below its folder',
  });

/** Rounds that a step looks back on, and directions of a pool: what a replica keeps of them stays small. */
const MAX_WINDOW = 1024;
const MAX_POOL = 65_536;

const blob = z.strictObject({ path, bytes: z.int().min(0), sha256: hash });

const part = { kept: count, of: u32.min(2).max(MAX_TENSORS) };
const belowWhole = ({ kept, of }: { readonly kept: number; readonly of: number }): boolean => kept < of;
const WHOLE = { error: 'expected kept below of; leave the key out to keep everything' };

const names = z.array(z.string().min(1)).min(1);
const belowOne = nonNegative.lt(1);
const view: z.ZodType<Manifest['view']> = z.union([
  z.literal('full'),
  z.strictObject({ last_blocks: count }),
  z.strictObject({ lora: z.strictObject({ rank: count.max(MAX_RANK), alpha: positive, targets: names }) }),
  z.strictObject({ prefix: z.strictObject({ tokens: count }) }),
  z.strictObject({ prompt: z.strictObject({ tokens: count }) }),
]);

const optimizer: z.ZodType<Optimizer> = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('sign') }),
  z.strictObject({ kind: z.literal('normalised') }),
  z.strictObject({ kind: z.literal('momentum'), beta: belowOne, window: count.max(MAX_WINDOW) }),
  z.strictObject({
    ...{ kind: z.literal('scalar_adam'), beta1: belowOne, beta2: belowOne, epsilon: positive },
    window: count.max(MAX_WINDOW),
  }),
  z.strictObject({ kind: z.literal('adam'), beta1: belowOne, beta2: belowOne, epsilon: positive }),
]);

const rows = z.string().exactOptional();
const task: z.ZodType<Task> = z.union([
  z.strictObject({ kind: z.literal('lm'), window: count }),
  z.strictObject({ kind: z.literal('masked_lm'), window: count, masked: positive.lt(1) }),
  z.strictObject({
    kind: z.literal('choice'),
    prompt: z.string(),
    label_column: z.string(),
    labels: z.array(z.strictObject({ value: z.string(), word: z.string() })).min(2),
    rows,
  }),
  z.strictObject({
    ...{ kind: z.literal('candidates'), prompt: z.string(), candidates_column: z.string() },
    ...{ answer_column: z.string(), rows },
  }),
  z.strictObject({
    ...{ kind: z.literal('answer'), prompt: z.string(), answers_column: z.string(), max_new_tokens: count },
    ...{ stop: z.array(z.string().min(1)), temperature: positive.exactOptional(), rows },
  }),
]);

const optim: z.ZodType<FirstOrder> = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('adamw'), beta1: belowOne, beta2: belowOne, epsilon: positive }),
  z.strictObject({ kind: z.literal('sgd'), momentum: belowOne }),
]);

const exchange: z.ZodType<Exchange> = z.strictObject({
  kind: z.enum(['diloco', 'monna', 'ddp', 'dpu', 'acco']),
  optim,
  ...{ weight_decay: nonNegative.max(1), max_grad_norm: nonNegative },
  ...{ per_device_train_batch_size: count, gradient_accumulation_steps: count },
  steps: count.max(MAX_RECORDS_PER_ROUND),
  ...{ outer_learning_rate: positive, outer_momentum: belowOne },
  format: z.enum(['f32', 'f16', 'int8', 'e3m0']),
  ...{ fragments: count.max(1000), overlap: u32, mixing: nonNegative.max(1) },
  ...{ data_parts: count, dropped: belowOne },
  aggregation: z
    .strictObject({
      by: z.enum(['median', 'trimmed_mean', 'geometric_median', 'krum', 'multi_krum', 'mda', 'nna']),
      byzantine: count.max(1024),
    })
    .exactOptional(),
});

const keys: z.ZodType<Manifest> = z.strictObject({
  format: z.literal(1),
  numbers: z.literal(1),
  base: z.strictObject({ name: z.string(), files: z.array(blob).min(1) }),
  view,
  method: z.enum(['onebyte', 'exchange']),
  exchange: exchange.exactOptional(),
  estimator: z.enum(['spsa', 'conservative', 'forward_gradient']).exactOptional(),
  optimizer: optimizer.exactOptional(),
  objective: z.union([z.enum(['accuracy', 'f1']), z.strictObject({ reward: blob })]).exactOptional(),
  direction: z.strictObject({
    kind: z.enum(['lowrank', 'rademacher', 'binomial']),
    rank: z.int().min(1).max(MAX_RANK), // the component of an outer product is one byte of the noise counter
    scale: positive,
    lazy: u32.min(2).exactOptional(),
  }),
  directions: z
    .union([
      z.strictObject({ pool: count.max(MAX_POOL) }),
      z.strictObject({ shared: count.max(MAX_RECORDS_PER_ROUND) }),
    ])
    .exactOptional(),
  scalar_aggregation: z
    .strictObject({ rule: z.enum(['median', 'trimmed_mean', 'nna']), byzantine: count.max(1024) })
    .exactOptional(),
  privacy: z
    .strictObject({
      ...{ noise_multiplier: z.number().min(0.1).max(100), clip: count.max(32_767) },
      ...{ epochs: count, delta: positive.lt(1) },
    })
    .exactOptional(),
  tensor_mask: z.strictObject(part).refine(belowWhole, WHOLE).exactOptional(),
  element_mask: z
    .strictObject({ by: z.enum(['random', 'magnitude']), ...part })
    .refine(belowWhole, WHOLE)
    .exactOptional(),
  blocks_per_round: count.exactOptional(),
  eps: positive,
  learning_rate: nonNegative,
  lr_scheduler_type: z.enum(['constant', 'linear', 'cosine']),
  warmup_steps: u32,
  max_steps: u32,
  reduction: z.enum(['mean', 'sqrt', 'sum']),
  records_per_round: count.max(MAX_RECORDS_PER_ROUND),
  samples_per_record: count,
  initial_scale: z.int().min(1),
  clip: z.int().min(1).max(127),
  task,
  data: z.strictObject({
    ...{ train: blob, eval: blob.exactOptional(), eval_fraction: nonNegative.lt(1) },
    sample: z
      .union([z.strictObject({ per_class: count, seed: u32 }), z.strictObject({ first: count, seed: u32 })])
      .exactOptional(),
  }),
  seed: z.int().min(0),
  forward_precision: z.enum(['f32', 'int8']),
  coordinator: hash,
});

/** Optimizers whose step is the rule's alone. */
const ROBUST: readonly (Optimizer['kind'] | undefined)[] = [undefined, 'sign', 'momentum'];

/** With fewer votes than that, a direction has no majority that must be honest. */
const votesNeeded = ({ directions, scalar_aggregation: by }: Manifest): number =>
  by && directions && 'shared' in directions ? directions.shared * (2 * by.byzantine + 1) : 0;

/** What noise is added to: slopes of losses. */
const isPrivate = ({ exchange, objective, estimator }: Manifest): boolean =>
  exchange === undefined && objective === undefined && estimator !== 'conservative';

const schema = keys
  .refine((m) => (m.method === 'exchange') === (m.exchange !== undefined), {
    path: ['exchange'],
    error: 'expected with method exchange, and with no other',
  })
  .refine((m) => m.data.sample === undefined || (m.task.kind !== 'lm' && m.task.kind !== 'masked_lm'), {
    path: ['data', 'sample'],
    error: 'expected none with text, which has no rows to draw',
  })
  .refine((m) => m.forward_precision === 'f32' || m.direction.kind === 'lowrank', {
    path: ['forward_precision'],
    error: 'expected f32 with a dense direction, which bytes would round away',
  })
  .refine((m) => m.estimator !== 'conservative' || m.optimizer === undefined, {
    path: ['optimizer'],
    error: 'expected none with estimator conservative, which tries the step of a record by itself',
  })
  .refine((m) => m.estimator !== 'conservative' || m.forward_precision === 'f32', {
    path: ['forward_precision'],
    error: 'expected f32 with estimator conservative: bytes would drown the difference that a step makes',
  })
  .refine((m) => m.estimator !== 'forward_gradient' || m.objective === undefined, {
    path: ['objective'],
    error: 'expected none with estimator forward_gradient: what has no derivative has no slope',
  })
  .refine((m) => m.estimator !== 'forward_gradient' || m.forward_precision === 'f32', {
    path: ['forward_precision'],
    error: 'expected f32 with estimator forward_gradient: roundings to bytes have no derivative',
  })
  .refine((m) => m.direction.lazy === undefined || m.direction.kind === 'lowrank', {
    path: ['direction', 'lazy'],
    error: 'expected none with a dense direction, which has no columns',
  })
  .refine((m) => m.scalar_aggregation === undefined || (m.directions !== undefined && 'shared' in m.directions), {
    path: ['scalar_aggregation'],
    error: 'expected none without shared directions: of others nobody else can say how steep they are',
  })
  .refine((m) => m.scalar_aggregation === undefined || ROBUST.includes(m.optimizer?.kind), {
    path: ['optimizer'],
    error: 'expected none, sign or momentum with scalar_aggregation: the others divide by what liars can raise',
  })
  .refine((m) => m.records_per_round >= votesNeeded(m), {
    path: ['records_per_round'],
    error: 'expected more than twice the byzantine peers for each shared direction with scalar_aggregation',
  })
  .refine((m) => m.privacy === undefined || isPrivate(m), {
    path: ['privacy'],
    error: 'expected none with exchange, an objective or estimator conservative, whose numbers no noise was made for',
  })
  .refine((m) => m.element_mask === undefined || m.direction.kind !== 'lowrank', {
    path: ['element_mask'],
    error: 'expected none with a low-rank direction, which moves whole rows and columns',
  });

/** The manifest, or in one line why it is none. */
function check(value: unknown): { readonly manifest: Manifest } | { readonly wrong: string } {
  const result = schema.safeParse(value);
  if (result.success) return { manifest: result.data };
  const [issue] = result.error.issues;
  return { wrong: `${issue?.path.join('.') || 'manifest'}: ${issue?.message ?? 'is wrong'}` };
}

/** @throws {RangeError} naming the first key that is wrong */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const checked = check(manifest);
  if ('wrong' in checked) throw new RangeError(`"manifest" is not one: ${checked.wrong}`);
  return toUtf8(canonicalJson(manifest));
}

/** The manifest of `bytes`, or in one line why they are none. */
export function decodeManifest(bytes: Uint8Array): { readonly manifest: Manifest } | { readonly wrong: string } {
  const json = fromUtf8(bytes);
  if (json === null) return { wrong: 'is not UTF-8' };
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return { wrong: 'is not JSON' };
  }
  const checked = check(value); // before canonicalJson, which would recurse as deep as a hostile value goes
  if ('wrong' in checked || canonicalJson(checked.manifest) === json) return checked;
  return { wrong: 'is not canonical JSON (RFC 8785)' };
}

/** A manifest that ends its record. */
export const manifestCodec: Codec<Manifest> = {
  write(out, manifest) {
    const bytes = encodeManifest(manifest);
    out.take(bytes.length).set(bytes);
  },
  read(from, name) {
    const decoded = decodeManifest(from.take(from.left, name));
    return 'wrong' in decoded ? from.fail(name, decoded.wrong) : decoded.manifest;
  },
};
