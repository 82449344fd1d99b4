/**
 * `murmur invite`: codes of a run besides its own, each with limits, that can be withdrawn one by one.
 *
 * @module
 */
import { z } from 'zod';
import { Fault } from '../faults.ts';
import type { Manifest } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import { toUtf8 } from '../numeric/text.ts';
import { type Invite, MAIN_INVITE } from '../peer/admission.ts';
import { capOf } from '../peer/assignment.ts';
import { joinLink } from '../peer/link.ts';
import { readControl } from '../peer/node/control.ts';
import { nodeCrypto } from '../peer/node/crypto.ts';
import { readGuests, readInvites, writeInvites } from '../peer/node/invites.ts';
import { storedManifest } from '../peer/node/run-folder.ts';
import { randomCode } from '../peer/node/system.ts';
import { type Argv, flagsOf } from './args.ts';
import { oneRun } from './past.ts';
import type { Io } from './verb.ts';

export const usage: string = `invite <output_dir> [flags]

Makes an invite to a run: a link of its own, for one person, that can be withdrawn. The host may be running or not, and
takes notice at once. Without flags, lists the invites there are. The code itself is not kept: the link is shown once.
  murmur invite out --name alice --max_share 0.25 --uses 1
  murmur invite out --revoke alice`;

const own = z.strictObject({
  name: z
    .string()
    .regex(/^[\w.-]{1,64}$/)
    .optional()
    .meta({ examples: ['alice'] })
    .describe('Whom it is for: letters, digits, dots and dashes.'),
  max_share: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('Part of the records of a round that all who come by it may have together.'),
  uses: z.int().min(1).max(4096).optional().describe('Keys that may come by it. Default: as many as like.'),
  revoke: z.string().min(1).optional().describe('Withdraw the invite of this name. Those who came by it stay.'),
});
export const flags: z.ZodObject = own;

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  const { name, max_share: maxShare, uses, revoke } = flagsOf(own, argv);
  const folder = oneRun('invite', argv);
  const manifest = await storedManifest(folder);
  if (manifest === undefined)
    throw new Fault('FILE_MISSING', `${folder} holds no run yet; start it with "murmur train", then invite to it`);
  const invites = readInvites(folder);
  if (name !== undefined && revoke !== undefined)
    throw new Fault('CONFIG_INVALID', '--revoke: and --name are two commands; give one of them');

  if (revoke !== undefined) {
    const at = invites.findIndex((invite) => invite.name === revoke);
    if (at < 0)
      throw new Fault(
        'CONFIG_INVALID',
        `--revoke: there is no invite "${revoke}"; "murmur invite ${folder}" lists them`,
      );
    await writeInvites(folder, invites.with(at, { ...invites[at]!, withdrawn: true }));
    return { withdrawn: revoke };
  }
  if (name === undefined) {
    const guests = readGuests(folder);
    const came = ({ hash }: Invite): number => guests.get(hash)?.size ?? 0;
    output.table('Invites', [
      ['name', 'part of a round', 'keys', 'of', ''],
      ...invites.map((invite) => [
        invite.name,
        String(invite.maxShare),
        String(came(invite)),
        String(invite.uses ?? 'any'),
        invite.withdrawn ? 'withdrawn' : '',
      ]),
    ]);
    return { invites: invites.length };
  }

  if (name === MAIN_INVITE || invites.some((invite) => invite.name === name))
    throw new Fault('CONFIG_INVALID', `--name: there is an invite "${name}" already; take another name`);
  checkShare(manifest, maxShare);
  const code = randomCode();
  const hash = toHex(nodeCrypto.sha256(toUtf8(code)));
  await writeInvites(folder, [...invites, { name, hash, maxShare, ...(uses && { uses }), withdrawn: false }]);
  const links = ((await readControl(folder))?.addresses ?? []).map((address) => joinLink(address, code));
  if (links.length === 0)
    output.note('No host is running here: put the code in place of the one in the join link that it prints.');
  for (const link of links.length > 1 ? links.slice(1) : links) output.event({ event: 'link', link });
  return { invite: name, code };
}

/** @throws {Fault} CONFIG_INVALID */
function checkShare({ exchange, records_per_round: records }: Manifest, maxShare: number): void {
  if (maxShare === 1) return;
  if (exchange)
    throw new Fault(
      'CONFIG_INVALID',
      '--max_share: a run that exchanges vectors has no records to share; leave it out',
    );
  if (capOf(maxShare, records) < 1)
    throw new Fault(
      'CONFIG_INVALID',
      `--max_share: ${maxShare} is less than one of the ${records} records of a round; take ${1 / records} or more`,
    );
}
