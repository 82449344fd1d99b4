/**
 * The manifest as bytes: canonical JSON, and what a manifest from someone else must satisfy before anybody acts on
 * it. Meaning is checked by those who use a key; here only kinds, ranges, and that paths stay inside their folder.
 *
 * @module
 */
import { z } from 'zod';
import { MAX_RECORDS_PER_ROUND, type Manifest } from '../nouns.ts';
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

const blob = z.strictObject({ path, bytes: z.int().min(0), sha256: hash });

const keys: z.ZodType<Manifest> = z.strictObject({
  format: z.literal(1),
  numbers: z.literal(1),
  base: z.strictObject({ name: z.string(), files: z.array(blob).min(1) }),
  view: z.union([z.literal('full'), z.strictObject({ last_blocks: count })]),
  method: z.literal('onebyte'),
  direction: z.strictObject({
    kind: z.enum(['lowrank', 'rademacher', 'binomial']),
    rank: z.int().min(1).max(MAX_RANK), // the component of an outer product is one byte of the noise counter
    scale: positive,
  }),
  tensor_mask: z
    .strictObject({ kept: count, of: u32.min(2).max(MAX_TENSORS) })
    .refine(({ kept, of }) => kept < of, { error: 'expected kept below of; leave the key out to keep everything' })
    .exactOptional(),
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
  task: z.union([
    z.strictObject({ kind: z.literal('lm'), window: count }),
    z.strictObject({
      kind: z.literal('choice'),
      prompt: z.string(),
      label_column: z.string(),
      labels: z.array(z.strictObject({ value: z.string(), word: z.string() })).min(2),
    }),
  ]),
  data: z.strictObject({ train: blob, eval: blob.exactOptional(), eval_fraction: nonNegative.lt(1) }),
  seed: z.int().min(0),
  forward_precision: z.enum(['f32', 'int8']),
  coordinator: hash,
});

const schema = keys.refine((m) => m.forward_precision === 'f32' || m.direction.kind === 'lowrank', {
  path: ['forward_precision'],
  error: 'expected f32 with a dense direction, which bytes would round away',
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
