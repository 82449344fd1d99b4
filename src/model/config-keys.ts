/**
 * What the readers of `config.json` share: kinds of keys, and how a file is refused.
 *
 * @module
 */
import { z } from 'zod';
import { Fault } from '../faults.ts';

/** Above every published model; it only keeps a hostile file from asking for an endless list. */
const MAX_LAYERS = 10_000;
/** Shapes are ONNX dimensions and typed-array lengths. */
const MAX_WIDTH = 2 ** 31 - 1;

export const width: z.ZodInt = z.int().min(1).max(MAX_WIDTH);
export const layers: z.ZodInt = z.int().min(1).max(MAX_LAYERS);
export const positive: z.ZodNumber = z.number().positive();

export const unsupported = (feature: string): Fault =>
  new Fault('MODEL_UNSUPPORTED', `config.json: ${feature} is not implemented; choose a model without it`);
export const invalid = (what: string, cause?: unknown): Fault =>
  new Fault('MODEL_INVALID', `config.json: ${what}; check the file`, { cause });

/** @throws {Fault} MODEL_INVALID naming the first key that does not fit */
export function read<T>(schema: z.ZodType<T>, raw: object): T {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  throw invalid(`"${path.join('.')}": ${message}`);
}

/** @throws {Fault} MODEL_INVALID unless heads share the width evenly */
export function requireHeads(widthKey: string, hidden: number, headsKey: string, heads: number): void {
  if (hidden % heads !== 0) throw invalid(`"${widthKey}" ${hidden} is not a multiple of "${headsKey}" ${heads}`);
}

/** @throws {Fault} MODEL_UNSUPPORTED naming the first key that has another value than the one we compute */
export function requireValues(
  config: Readonly<Record<string, unknown>>,
  computed: Readonly<Record<string, unknown>>,
): void {
  for (const [key, value] of Object.entries(computed))
    if (config[key] !== value) throw unsupported(`"${key}": ${JSON.stringify(config[key])}`);
}
