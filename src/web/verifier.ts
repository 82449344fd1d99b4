/**
 * Reading a journal with every signature verified. The reader goes record by record and wants its answers at once, which WebCrypto does not give; but WebCrypto verifies ten times as fast, where there is one
 * (browsers give it to secure contexts only). So signatures are taken on trust while reading, and nothing is handed over
 * before all of them are verified.
 *
 * @module
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { type Position, type Read, readJournal } from '../journal/reader.ts';
import { toHex } from '../numeric/bytes.ts';
import { webCrypto } from '../peer/web/crypto.ts';

/** A signature that is to be verified yet. */
interface Owed {
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * `readJournal`, every signature verified.
 * @param subtle WebCrypto, where there is one.
 */
export async function verifiedReader(
  subtle: SubtleCrypto | undefined,
): Promise<(bytes: Uint8Array, start: Position) => Promise<Read>> {
  const holds = subtle && (await signatures(subtle));
  if (holds === undefined) return async (bytes, start) => readJournal(bytes, webCrypto, start);
  return async (bytes, start) => {
    const owed: Owed[] = [];
    const trusting = {
      ...webCrypto,
      verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
        owed.push({ key, message, signature });
        return true;
      },
    };
    const read = readJournal(bytes, trusting, start);
    const verdicts = await Promise.all(owed.map(holds));
    // One does not hold: the strict reader finds out which, and says so as it always does.
    return verdicts.every(Boolean) ? read : readJournal(bytes, webCrypto, start);
  };
}

/** What verifies by WebCrypto; undefined where it does not know Ed25519. */
async function signatures(subtle: SubtleCrypto): Promise<((owed: Owed) => Promise<boolean>) | undefined> {
  const keys = new Map<string, Promise<CryptoKey>>();
  const keyOf = (key: Uint8Array): Promise<CryptoKey> => {
    const id = toHex(key);
    const known = keys.get(id) ?? subtle.importKey('raw', owned(key), 'Ed25519', false, ['verify']);
    keys.set(id, known);
    return known;
  };
  const knows = await keyOf(ed25519.Point.BASE.toBytes()).then(
    () => true,
    () => false,
  );
  if (!knows) return undefined;
  return async ({ key, message, signature }) =>
    keyOf(key).then(
      (imported) => subtle.verify('Ed25519', imported, owned(signature), owned(message)),
      () => false,
    );
}

/** WebCrypto takes views of buffers that are not shared; a copy is one for sure. */
const owned = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);
