/** Random valid entries. They need not follow from each other. */
import fc from 'fast-check';
import type { Entry, Exchange, Manifest, Merge } from '../../src/nouns.ts';
import { MANIFEST } from './fixture.ts';

export const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
export const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
/** At most four bytes a character. */
export const text = (max: number) =>
  fc
    .string({ unit: 'grapheme', maxLength: max / 4 })
    .filter(
      (value) =>
        new TextEncoder().encode(value).length <= max && !/[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/u.test(value),
    );
export const codes = fc.int8Array({ minLength: 1, maxLength: 70 });

const metrics = fc.dictionary(text(64), fc.double(), { maxKeys: 5, noNullPrototype: true });

const manifest: fc.Arbitrary<Manifest> = fc
  .record({
    learning_rate: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
    max_steps: u32,
    initial_scale: fc.maxSafeInteger().map((value) => Math.abs(value) + (value === 0 ? 1 : 0)),
    reduction: fc.constantFrom('mean', 'sqrt', 'sum'),
    seed: fc.maxSafeNat(),
    task: fc.oneof(
      fc.record({ kind: fc.constant('lm'), window: fc.integer({ min: 1, max: 4096 }) }),
      fc.record({
        kind: fc.constant('choice'),
        prompt: fc.string({ unit: 'grapheme' }),
        label_column: fc.string(),
        labels: fc.array(fc.record({ value: fc.string(), word: fc.string() }), { minLength: 2, maxLength: 4 }),
      }),
    ),
  })
  .map((fields) => ({ ...MANIFEST, ...fields }) as Manifest);

const header = fc.record({ round: u32, usable: u32, gain: fc.double(), scale: fc.maxSafeNat(), clip: fc.nat(255) });
const segments = fc.array(fc.record({ slot: u32, from: u32, codes }), { maxLength: 6 });

const below = (max: number) => fc.double({ min: 0, max, maxExcluded: true, noNaN: true });
const some = fc.integer({ min: 1, max: 1000 });
const positive = fc.double({ min: 0, minExcluded: true, max: 1e9, noNaN: true });
export const exchange: fc.Arbitrary<Exchange> = fc.record({
  kind: fc.constantFrom('diloco', 'ddp', 'dpu', 'acco'),
  optim: fc.oneof(
    fc.record({ kind: fc.constant('sgd' as const), momentum: below(1) }),
    fc.record({ kind: fc.constant('adamw' as const), beta1: below(1), beta2: below(1), epsilon: positive }),
  ),
  ...{ weight_decay: below(1), max_grad_norm: below(1e9) },
  ...{ per_device_train_batch_size: some, gradient_accumulation_steps: some, steps: some },
  ...{ outer_learning_rate: positive, outer_momentum: below(1) },
  format: fc.constantFrom('f32', 'f16', 'int8', 'e3m0'),
  ...{ fragments: some, overlap: u32, mixing: below(1), data_parts: some, dropped: below(1) },
});

export const merge: fc.Arbitrary<Merge> = fc.record({
  round: u32,
  shares: fc.array(fc.record({ slot: u32, from: u32, count: u32, digest: bytes(32) }), { maxLength: 5 }),
  chunks: fc.array(bytes(32), { maxLength: 5 }),
});

export const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ type: fc.constant('manifest'), manifest }),
  fc.record({ type: fc.constant('admit'), slot: u32, key: bytes(32), name: text(64) }),
  fc.record({ type: fc.constant('evict'), slot: u32, reason: text(512) }),
  fc.record({ type: fc.constant('round'), round: fc.record({ header, segments }) }),
  fc.record({ type: fc.constant('merge'), merge }),
  fc.record({
    type: fc.constant('audit'),
    audit: fc.record({ round: u32, from: u32, claims: fc.array(fc.record({ slot: u32, codes }), { maxLength: 3 }) }),
  }),
  fc.record({ type: fc.constant('evaluation'), round: u32, slot: u32, metrics }),
  fc.record({ type: fc.constant('digest'), round: u32, root: bytes(32) }),
  fc.record({ type: fc.constant('revoke'), slot: u32, from: u32, to: u32 }),
  fc.record({ type: fc.constant('rewind'), round: u32 }),
  fc.record({ type: fc.constant('standing'), round: u32, hash: bytes(32) }),
) as fc.Arbitrary<Entry>;
