/**
 * `config.json` and the tensors of a checkpoint → a `Model`. The architecture says which tensors it reads, in which
 * shapes; the checkpoint must hold exactly those, so that a feature we do not compute cannot slip in unseen.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Architecture } from './architecture.ts';
import { bert, GAMMA } from './bert.ts';
import type { ModelConfig } from './config.ts';
import { gpt2 } from './gpt2.ts';
import { piecesOf } from './head.ts';
import { llama } from './llama.ts';
import { opt } from './opt.ts';
import type { Model, TensorSpec } from './stage.ts';

/** Shapes by name: what `Checkpoint.tensors` holds, and all that is asked of it. */
export type TensorShapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

/** What the checkpoints of an architecture call things. */
interface Names {
  /** Where the names of the body start: of a whole model, and of one saved without its head. */
  readonly starts: readonly string[];
  readonly embedding: string;
  /** Matrix of a head that is not tied to the embedding. */
  readonly head: string;
  /** Not weights that we compute with: buffers, a second copy of what is tied, and heads of other tasks. */
  readonly ignored: RegExp;
}

const CAUSAL_HEAD = 'lm_head.weight';
const ENCODER = { embedding: 'embeddings.word_embeddings.weight' };
const NAMES: Readonly<Record<ModelConfig['architecture'], Names>> = {
  llama: {
    starts: ['model.', ''],
    embedding: 'embed_tokens.weight',
    head: CAUSAL_HEAD,
    ignored: /(^|\.)rotary_emb\.inv_freq$/, // saved by older transformers
  },
  opt: {
    starts: ['model.decoder.', 'decoder.', ''],
    embedding: 'embed_tokens.weight',
    head: CAUSAL_HEAD,
    ignored: /(^|\.)decoder\.version$/, // fairseq's mark
  },
  gpt2: {
    starts: ['transformer.', ''],
    embedding: 'wte.weight',
    head: CAUSAL_HEAD,
    ignored: /\.attn\.(masked_)?bias$/, // masks
  },
  bert: {
    ...ENCODER,
    starts: ['bert.', ''],
    head: 'cls.predictions.decoder.weight',
    ignored:
      /(embeddings\.position_ids|^cls\.predictions\.decoder\.bias|pooler\.dense\.\w+|^cls\.seq_relationship\.\w+)$/,
  },
  roberta: {
    ...ENCODER,
    starts: ['roberta.', ''],
    head: 'lm_head.decoder.weight',
    ignored: /(embeddings\.position_ids|^lm_head\.decoder\.bias|pooler\.dense\.\w+)$/,
  },
};

/** @param matrix tensor that the head multiplies with */
function architecture(config: ModelConfig, at: string, matrix: string, tensors: TensorShapes): Architecture {
  switch (config.architecture) {
    case 'llama':
      return llama(config, at, matrix);
    case 'opt':
      return opt(config, at, matrix);
    case 'gpt2':
      return gpt2(config, at, matrix);
    case 'bert':
    case 'roberta':
      return bert(config, at, matrix, tensors.has(at + GAMMA));
  }
}

const isMasked = ({ architecture }: ModelConfig): boolean => architecture === 'bert' || architecture === 'roberta';

/** @throws {Fault} MODEL_INVALID, MODEL_UNSUPPORTED naming the tensor that is missing, misshapen or unknown */
export function modelOf(config: ModelConfig, tensors: TensorShapes): Model {
  const { starts, embedding, head: headMatrix, ignored } = NAMES[config.architecture];
  const at = starts.find((start) => tensors.has(start + embedding));
  if (at === undefined)
    throw new Fault(
      'MODEL_INVALID',
      `the checkpoint holds no "${embedding}"; is it of a ${config.architecture} model?`,
    );
  const tied = config.tied || !tensors.has(headMatrix);
  const { embed, blocks, final, piece } = architecture(config, at, tied ? at + embedding : headMatrix, tensors);

  const pieces = piecesOf(config.vocabulary);
  const [first] = pieces;
  const written = [embed, ...blocks, final, piece({ kind: 'logits' }, first!)];
  const shapes = new Map(written.flatMap(({ shapes }) => [...shapes]));
  for (const [name, shape] of shapes) {
    const found = tensors.get(name)?.shape;
    if (!found && final.shapes.has(name) && isMasked(config))
      throw new Fault(
        'MODEL_UNSUPPORTED',
        `the checkpoint holds no head for masked words ("${name}"); choose a model that was saved with one`,
      );
    if (!found) throw new Fault('MODEL_INVALID', `the checkpoint holds no tensor "${name}"; fetch it again`);
    if (found.join() !== shape.join())
      throw new Fault('MODEL_INVALID', `tensor "${name}" is (${found}) where config.json implies (${shape})`);
  }
  for (const name of tensors.keys())
    if (!shapes.has(name) && !ignored.test(name) && !(tied && name === headMatrix))
      throw new Fault('MODEL_UNSUPPORTED', `tensor "${name}" belongs to no ${config.architecture} model we know`);

  // Names are ASCII, so the order of UTF-16 units is the order of bytes.
  const names = [...shapes.keys()].sort((a, b) => (a < b ? -1 : 1));
  return {
    kind: isMasked(config) ? 'masked' : 'causal',
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
  const { starts, embedding, head } = NAMES[config.architecture];
  const at = starts[0]!;
  const matrix = config.tied ? at + embedding : head;
  const { embed, blocks, final, piece } = architecture(config, at, matrix, new Map());
  const written = [embed, ...blocks, final, piece({ kind: 'logits' }, piecesOf(config.vocabulary)[0]!)];
  return new Map(written.flatMap(({ shapes }) => [...shapes].map(([name, shape]) => [name, { shape }] as const)));
}
