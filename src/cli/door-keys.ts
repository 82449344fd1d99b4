/**
 * The keys of a run file that say where its host listens, whom it lets in and how far it trusts them.
 *
 * @module
 */
import { z } from 'zod';
import { POLICIES, type Policy } from '../peer/admission.ts';
import { MAX_JOIN_CODE_BYTES } from '../wire/limits.ts';
import { TLS_CERT, TLS_KEY } from './tls.ts';

export interface DoorKeys {
  readonly host: string;
  readonly port: number;
  readonly tls_cert: string | undefined;
  readonly tls_key: string | undefined;
  readonly admission: Policy;
  readonly allow: string | undefined;
  readonly code: string | undefined;
  readonly audit: number;
  readonly store: string | undefined;
  readonly nats_creds: string | undefined;
}

const text = () => z.string().min(1);

export const doorKeySchemas: { readonly [K in keyof DoorKeys]: z.ZodType<DoorKeys[K]> } = {
  host: text().default('127.0.0.1').describe('Address to listen on. 0.0.0.0 lets other machines in.'),
  port: z.int().min(0).max(65_535).default(0).describe('Port to listen on; 0 takes a free one.'),
  tls_cert: text().optional().describe(TLS_CERT),
  tls_key: text().optional().describe(TLS_KEY),
  admission: z
    .enum(POLICIES)
    .default('invite')
    .describe(
      'Who may join: anybody; whoever has the link or an invite ("murmur invite"); or of these, those whose key is in allow.',
    ),
  allow: text()
    .optional()
    .describe(
      'admission allow-list: file of public keys, one a line, as "murmur key" prints them; or the keys, with commas.',
    ),
  code: text().max(MAX_JOIN_CODE_BYTES).optional().describe('Join code that peers must show. Default: a random one.'),
  audit: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('Part of the records that three peers measure, none of which knows it: who lies is found and evicted.'),
  store: text()
    .optional()
    .describe(
      'nats://host:4222,host:4222: keeps the journal on NATS JetStream, where several coordinators with one key share it.',
    ),
  nats_creds: text().optional().describe('Credentials file of the NATS user of this coordinator.'),
};
