/**
 * A trained model as the files of a folder that transformers loads: `config.json`, the tokenizer's files as they came,
 * and one `model.safetensors`.
 *
 * @module
 */
import { WEIGHTS_FILE } from './checkpoint.ts';
import { encodeHeader, type StoredSpec } from './safetensors.ts';

/** A tensor to export. `data` is asked for once, when its turn comes, so a model need not be in memory twice. */
export interface ExportTensor extends StoredSpec {
  /** As stored: row-major, little-endian. */
  readonly data: () => Promise<Uint8Array>;
}

export interface ExportFile {
  readonly path: string;
  readonly chunks: () => AsyncIterable<Uint8Array>;
}

/** Weights that have been trained: exported as F32, whatever the base was stored as. */
export function trained(
  { name, shape }: Pick<StoredSpec, 'name' | 'shape'>,
  read: (name: string) => Promise<Float32Array>,
): ExportTensor {
  const data = async () => {
    const { buffer, byteOffset, byteLength } = await read(name);
    return new Uint8Array(buffer, byteOffset, byteLength);
  };
  return { name, shape, dtype: 'F32', data };
}

/** A tensor that was not trained: the bytes of the base. */
export const untrained = ({ name, dtype, shape }: StoredSpec, data: ExportTensor['data']): ExportTensor => ({
  name,
  dtype,
  shape,
  data,
});

/** Sets a key whose value is no object or list. All other text stays: re-encoding would turn 1.0 into 1. */
function withKey(json: string, key: string, value: string): string {
  const entry = new RegExp(`("${key}"\\s*:\\s*)("[^"]*"|[\\w.+-]+)`);
  if (entry.test(json)) return json.replace(entry, `$1${value}`);
  return json.replace('{', `{\n  "${key}": ${value},`);
}

/**
 * The base's config, saying what the exported tensors are: F32, and tied exactly if no head is among them (a base
 * without one is tied whatever its config says).
 */
export function exportConfig(base: string, names: ReadonlySet<string>): string {
  const keys = Object.keys(JSON.parse(base));
  // transformers 4 writes `torch_dtype`, later ones `dtype`; each reads its own.
  const spellings = ['dtype', 'torch_dtype'].filter((key) => keys.includes(key));
  if (spellings.length === 0) spellings.push('torch_dtype');
  const typed = spellings.reduce((json, key) => withKey(json, key, '"float32"'), base);
  return withKey(typed, 'tie_word_embeddings', String(!names.has('lm_head.weight')));
}

async function* whole(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

async function* weights(tensors: readonly ExportTensor[]): AsyncIterable<Uint8Array> {
  yield encodeHeader(tensors);
  for (const { data } of tensors) yield await data();
}

/** A safetensors file of these tensors in this order. */
export const weightsFile = (path: string, tensors: readonly ExportTensor[]): ExportFile => ({
  path,
  chunks: () => weights(tensors),
});

/**
 * @param config text of the base's `config.json`. @param copied files of the tokenizer and generation settings, by
 * name. @param tensors in the order they will lie in the file.
 */
export function exportFiles(
  config: string,
  copied: ReadonlyMap<string, Uint8Array>,
  tensors: readonly ExportTensor[],
): readonly ExportFile[] {
  const text = new TextEncoder().encode(exportConfig(config, new Set(tensors.map(({ name }) => name))));
  return [
    { path: 'config.json', chunks: () => whole(text) },
    ...[...copied].map(([path, bytes]): ExportFile => ({ path, chunks: () => whole(bytes) })),
    weightsFile(WEIGHTS_FILE, tensors),
  ];
}
