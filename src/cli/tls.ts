/**
 * The two flags of whatever listens with TLS.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { type Certified, certified } from '../peer/node/tls.ts';

export const TLS_CERT =
  'Certificate in PEM, then those between it and its issuer: listens with TLS, and links are https.';
export const TLS_KEY = 'Key of tls_cert, in PEM.';

/** @throws {Fault} CONFIG_INVALID for one without the other, TLS_INVALID, FILE_MISSING, FILE_REFUSED */
export async function tlsOf({
  tls_cert: cert,
  tls_key: key,
}: {
  readonly tls_cert?: string | undefined;
  readonly tls_key?: string | undefined;
}): Promise<Certified | undefined> {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw new Fault('CONFIG_INVALID', '--tls_cert: and --tls_key go together; give both or none');
  return certified(cert, key, Date.now());
}
