/**
 * Tokens of a text, kept in a file under what they follow from: the text, the tokenizer, and how a text is cut into pieces.
 * Several peers of one machine then tokenise a corpus once.
 *
 *     magic 8 · ids i32, little-endian · SHA-256 of all before
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** Changes with what `textTokens` makes of a text. */
const MAGIC = new TextEncoder().encode('murmurK1');
const DIGEST_BYTES = 32;
/** Below so many characters a file saves no time. */
const WORTH_KEEPING = 1 << 18;

const digestOf = (...parts: readonly (Uint8Array | string)[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest();
};

/**
 * @param folder of the cache, made if need be; undefined keeps nothing. @param tokenizer all of its files.
 * @param make the tokens, where they are not there yet.
 */
export async function cachedTokens(
  folder: string | undefined,
  tokenizer: string,
  text: Uint8Array,
  make: () => Int32Array,
): Promise<Int32Array> {
  if (folder === undefined || text.length < WORTH_KEEPING) return make();
  const path = join(folder, digestOf(MAGIC, tokenizer, text).toString('hex'));
  const found = await readFile(path).catch(() => undefined);
  const known = found && tokensOf(found);
  if (known) return known;
  const tokens = make();
  // A cache that cannot be written costs time and nothing else.
  await write(folder, path, tokens).catch(() => undefined);
  return tokens;
}

/** undefined for a file that is damaged, or of another version: it is made anew. */
function tokensOf(bytes: Buffer): Int32Array | undefined {
  const end = bytes.length - DIGEST_BYTES;
  const body = end - MAGIC.length;
  if (body < 0 || body % 4 !== 0 || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  if (!createHash('sha256').update(bytes.subarray(0, end)).digest().equals(bytes.subarray(end))) return undefined;
  return new Int32Array(new Uint8Array(bytes.subarray(MAGIC.length, end)).buffer);
}

async function write(folder: string, path: string, tokens: Int32Array): Promise<void> {
  await mkdir(folder, { recursive: true });
  const ids = new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);
  const digest = createHash('sha256').update(MAGIC).update(ids).digest();
  // Several processes may write the same: each to a file of its own, the last one stays.
  const draft = `${path}.${process.pid}.part`;
  const file = await open(draft, 'w');
  try {
    for (const part of [MAGIC, ids, digest]) await file.writeFile(part);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  await rename(draft, path);
}
