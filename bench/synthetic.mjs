/**
 * Checkpoints of known shapes with random weights, as folders that everything opens: what they compute does not matter.
 * Written piece by piece, so a model may be larger than memory. The tokenizer is the package's own, whose 1,024 tokens
 * every shape has embeddings for.
 *
 *     node bench/synthetic.mjs --shape opt-1.3b --dtype F16 --output_dir build/bench/models/opt-1.3b-F16
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeFolder } from '../dist/model/node/write-folder.js';
import { encodeHeader } from '../dist/model/safetensors.js';
import { BUILD, flagsOf, root } from './harness.mjs';
import { configNamed, elements, isGain, shapesOf, weightGenerator } from './models.mjs';

/** Elements written at once. */
const PIECE = 1 << 20;

const bits = new Uint32Array(new Float32Array(1).buffer);
const float = new Float32Array(bits.buffer);

/** Upper half of a binary32: the rest is cut off, which is as random as what stays. */
function bfloat16(x) {
  float[0] = x;
  return bits[0] >>> 16;
}

/** Binary16 of a value below 2^15 in size, cut off; those below 2^-14 become 0. */
function float16(x) {
  float[0] = x;
  const exponent = ((bits[0] >>> 23) & 255) - 112;
  const sign = (bits[0] >>> 16) & 0x8000;
  return exponent > 0 ? sign | (exponent << 10) | ((bits[0] >>> 13) & 1023) : sign;
}

/** Stored dtype → array, and how a weight gets into it. */
const STORED = {
  F32: { array: Float32Array, encode: (x) => x },
  F16: { array: Uint16Array, encode: float16 },
  BF16: { array: Uint16Array, encode: bfloat16 },
};

function* pieces(name, shape, seed, { array, encode }) {
  const next = isGain(name, shape) ? () => 1 : weightGenerator(seed);
  for (let left = elements(shape); left > 0; left -= PIECE) {
    const piece = new array(Math.min(left, PIECE));
    for (let i = 0; i < piece.length; i++) piece[i] = encode(next());
    yield new Uint8Array(piece.buffer);
  }
}

const given = (text) => ({
  async *chunks() {
    yield text;
  },
});

/**
 * Writes a checkpoint of the shape `name` to `folder`, which appears whole or not at all.
 * @param dtype one of `STORED`.
 */
export async function writeSynthetic(name, folder, dtype = 'F32') {
  const stored = STORED[dtype];
  if (!stored) throw new RangeError(`--dtype expected one of ${Object.keys(STORED).join(', ')}, got ${dtype}`);
  const config = configNamed(name);
  const tensors = [...shapesOf(config)].map(([tensor, { shape }]) => ({ name: tensor, dtype, shape }));
  const copied = (file) => ({ path: file, ...given(readFileSync(join(root, 'assets/quill', file))) });
  await writeFolder(folder, [
    { path: 'config.json', ...given(new TextEncoder().encode(`${JSON.stringify(config, null, 1)}\n`)) },
    copied('tokenizer.json'),
    copied('tokenizer_config.json'),
    {
      path: 'model.safetensors',
      async *chunks() {
        yield encodeHeader(tensors);
        for (const [seed, { name: tensor, shape }] of tensors.entries()) yield* pieces(tensor, shape, seed, stored);
      },
    },
  ]);
}

/** The folder of a checkpoint that is written when it is first asked for. */
export async function syntheticFolder(name, dtype = 'F32') {
  const folder = join(BUILD, 'models', `${name}-${dtype}`);
  if (!existsSync(folder)) await writeSynthetic(name, folder, dtype);
  return folder;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { shape, dtype, output_dir } = flagsOf({ shape: 'opt-1.3b', dtype: 'F32', output_dir: '' });
  if (output_dir === '') console.log(await syntheticFolder(shape, dtype));
  else await writeSynthetic(shape, output_dir, dtype);
}
