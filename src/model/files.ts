/**
 * Which files of a model folder or repository are read. Names only: they may lie on a disk or on the Hub.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { INDEX_FILE, shardNames, WEIGHTS_FILE } from './checkpoint.ts';

const CONFIG = 'config.json';
export const TOKENIZER = 'tokenizer.json';
/** What `bpe.ts` makes a tokenizer.json of. */
export const VOCAB = 'vocab.json';
export const MERGES = 'merges.txt';
export const TOKENIZER_CONFIG = 'tokenizer_config.json';
/** Read where they are there; copied on export. */
const OPTIONAL = [TOKENIZER_CONFIG, 'generation_config.json', 'special_tokens_map.json'];

/**
 * @param names of all files there. @param readIndex gives the text of `model.safetensors.index.json`.
 * @param where the folder or repository, for messages.
 * @throws {Fault} MODEL_INVALID, MODEL_UNSUPPORTED saying what is missing
 */
export async function modelFiles(
  names: ReadonlySet<string>,
  readIndex: () => Promise<string>,
  where: string,
): Promise<readonly string[]> {
  if (!names.has(CONFIG))
    throw new Fault('MODEL_INVALID', `${where} has no ${CONFIG}; name a model in Hugging Face layout`);
  const files = [CONFIG, ...OPTIONAL.filter((name) => names.has(name))];

  if (names.has(TOKENIZER)) files.push(TOKENIZER);
  else if (names.has(VOCAB) && names.has(MERGES)) files.push(VOCAB, MERGES);
  else
    throw new Fault(
      'MODEL_UNSUPPORTED',
      `${where} has no ${TOKENIZER}; make one with transformers: AutoTokenizer.from_pretrained(…).save_pretrained(…)`,
    );

  if (names.has(WEIGHTS_FILE)) return [...files, WEIGHTS_FILE];
  if (!names.has(INDEX_FILE))
    throw new Fault(
      'MODEL_UNSUPPORTED',
      `${where} has no ${WEIGHTS_FILE}; convert it with transformers' save_pretrained, or name a revision that has it (often refs/pr/1 and up)`,
    );
  const shards = shardNames(await readIndex());
  const missing = shards.find((shard) => !names.has(shard));
  if (missing !== undefined)
    throw new Fault('MODEL_INVALID', `${where} lacks ${missing}, which ${INDEX_FILE} names; fetch it again`);
  return [...files, INDEX_FILE, ...shards];
}
