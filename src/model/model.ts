/**
 * `config.json` and the tensors of a checkpoint → a `Model`. The architecture says which tensors it reads, in which
 * shapes; the checkpoint must hold exactly those, so that a feature we do not compute cannot slip in unseen.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Architecture } from './architecture.ts';
import type { ModelConfig } from './config.ts';
import { piecesOf } from './head.ts';
import { llama } from './llama.ts';
import { opt } from './opt.ts';
import type { Model, TensorSpec } from './stage.ts';

/** Shapes by name: what `Checkpoint.tensors` holds, and all that is asked of it. */
export type TensorShapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

const HEAD_MATRIX = 'lm_head.weight';
const EMBEDDING = 'embed_tokens.weight';
/** Where the names of the body start: of a whole model, and of one saved without its head. */
const BODY_NAMES: Readonly<Record<ModelConfig['architecture'], readonly string[]>> = {
  llama: ['model.', ''],
  opt: ['model.decoder.', 'decoder.', ''],
};
/** Not weights: RoPE frequencies that older checkpoints saved, and fairseq's version mark. */
const BUFFERS = /(^|\.)(rotary_emb\.inv_freq|decoder\.version)$/;

/** @param matrix tensor that the head multiplies with */
function architecture(config: ModelConfig, at: string, matrix: string): Architecture {
  return config.architecture === 'llama' ? llama(config, at, matrix) : opt(config, at, matrix);
}

/** @throws {Fault} MODEL_INVALID, MODEL_UNSUPPORTED naming the tensor that is missing, misshapen or unknown */
export function modelOf(config: ModelConfig, tensors: TensorShapes): Model {
  const at = BODY_NAMES[config.architecture].find((start) => tensors.has(start + EMBEDDING));
  if (at === undefined)
    throw new Fault(
      'MODEL_INVALID',
      `the checkpoint holds no "${EMBEDDING}"; is it of a ${config.architecture} model?`,
    );
  const tied = config.tied || !tensors.has(HEAD_MATRIX);
  const { embed, blocks, final, piece } = architecture(config, at, tied ? at + EMBEDDING : HEAD_MATRIX);

  const pieces = piecesOf(config.vocabulary);
  const [first] = pieces;
  const written = [embed, ...blocks, final, piece({ kind: 'logits' }, first!)];
  const shapes = new Map(written.flatMap(({ shapes }) => [...shapes]));
  for (const [name, shape] of shapes) {
    const found = tensors.get(name)?.shape;
    if (!found) throw new Fault('MODEL_INVALID', `the checkpoint holds no tensor "${name}"; fetch it again`);
    if (found.join() !== shape.join())
      throw new Fault('MODEL_INVALID', `tensor "${name}" is (${found}) where config.json implies (${shape})`);
  }
  for (const name of tensors.keys())
    if (!shapes.has(name) && !BUFFERS.test(name) && !(tied && name === HEAD_MATRIX))
      throw new Fault('MODEL_UNSUPPORTED', `tensor "${name}" belongs to no ${config.architecture} model we know`);

  // Names are ASCII, so the order of UTF-16 units is the order of bytes.
  const names = [...shapes.keys()].sort((a, b) => (a < b ? -1 : 1));
  return {
    hidden: config.hidden,
    vocabulary: config.vocabulary,
    positions: config.positions,
    tensors: names.map((name, id): TensorSpec => ({ name, shape: shapes.get(name)!, id })),
    embed: embed.stage,
    blocks: blocks.map((written) => written.stage),
    final: final.stage,
    head: (kind) =>
      (kind.kind === 'choice' ? [first!] : pieces).map((rows) => ({ ...rows, stage: piece(kind, rows).stage })),
  };
}

/** Names and shapes of the tensors of a model that no checkpoint holds yet. */
export function freshTensors(config: ModelConfig): TensorShapes {
  const at = BODY_NAMES[config.architecture][0]!;
  const { embed, blocks, final, piece } = architecture(config, at, config.tied ? at + EMBEDDING : HEAD_MATRIX);
  const written = [embed, ...blocks, final, piece({ kind: 'logits' }, piecesOf(config.vocabulary)[0]!)];
  return new Map(written.flatMap(({ shapes }) => [...shapes].map(([name, shape]) => [name, { shape }] as const)));
}
