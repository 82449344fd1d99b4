/**
 * `murmur key`: who this machine is, for whoever keeps a list.
 *
 * @module
 */
import { join } from 'node:path';
import { z } from 'zod';
import { Fault } from '../faults.ts';
import { toHex } from '../numeric/bytes.ts';
import { nodeCrypto } from '../peer/node/crypto.ts';
import { secretOf } from '../peer/node/identity.ts';
import { type Argv, flagsOf } from './args.ts';
import { cacheOf } from './prepare.ts';
import type { Io } from './verb.ts';

export const usage: string = `key [flags]

Prints the public key that this machine joins runs with, and makes the key first where there is none. A host with an
allow-list lets in whoever is on it: send it this line. It is no secret; the file that it comes from is.
  murmur key
  murmur key --key other.key`;

const own = z.strictObject({
  key: z.string().min(1).optional().describe('File of the key. Default: the first one of this user.'),
});
export const flags: z.ZodObject = own;

export async function run(argv: Argv, { output, env }: Io): Promise<Readonly<Record<string, unknown>>> {
  const { key = join(cacheOf(env), 'keys', 'peer.key') } = flagsOf(own, argv);
  if (argv.words.length > 0) throw new Fault('CONFIG_INVALID', 'key: takes no words; name a file with --key');
  const publicKey = toHex(nodeCrypto.publicKey(await secretOf(key)));
  output.text(`${publicKey}\n`);
  return { key: publicKey, file: key };
}
