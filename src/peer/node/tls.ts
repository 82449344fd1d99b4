/**
 * TLS with a given certificate: what a host listens with, and what a peer believes.
 *
 * @module
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import { type ConnectionOptions, checkServerIdentity, rootCertificates } from 'node:tls';
import { Fault } from '../../faults.ts';
import { fileRefusal } from './file-refusal.ts';

/** What a host listens with. */
export interface Certified {
  /** PEM: the certificate, then those between it and its issuer. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
  /** Names that the certificate is for, without those that stand for many. */
  readonly names: readonly string[];
}

async function pemOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw (
      fileRefusal(cause, path) ?? new Fault('FILE_MISSING', `${path} cannot be read; name a file in PEM`, { cause })
    );
  });
}

/** The certificates of a text, at least one. @throws {Fault} TLS_INVALID */
function certificatesOf(pem: string, path: string): [X509Certificate, ...X509Certificate[]] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  try {
    const [first, ...more] = blocks.map((block) => new X509Certificate(block));
    if (first) return [first, ...more];
  } catch {
    // said below
  }
  throw new Fault('TLS_INVALID', `${path} holds no certificate that can be read; name one in PEM`);
}

function keyOf(pem: string, path: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    const remedy = /ENCRYPTED/.test(pem) ? 'needs a passphrase; write it without one' : 'is no private key in PEM';
    throw new Fault('TLS_INVALID', `${path} ${remedy}`, { cause });
  }
}

/**
 * @param now in milliseconds since 1970. @throws {Fault} FILE_MISSING, FILE_REFUSED, TLS_INVALID for files that are
 * damaged, do not belong together, or whose time is over or has not begun
 */
export async function certified(certPath: string, keyPath: string, now: number): Promise<Certified> {
  const [cert, key] = [await pemOf(certPath), await pemOf(keyPath)];
  const [own] = certificatesOf(cert, certPath);
  if (!own.checkPrivateKey(keyOf(key, keyPath)))
    throw new Fault('TLS_INVALID', `${keyPath} is not the key of ${certPath}; name the two that belong together`);
  if (now > Date.parse(own.validTo))
    throw new Fault('TLS_INVALID', `${certPath} was good until ${own.validTo}; renew it`);
  if (now < Date.parse(own.validFrom))
    throw new Fault('TLS_INVALID', `${certPath} is good from ${own.validFrom} on; check the clock of this machine`);
  const names = (own.subjectAltName ?? '').split(/,\s*/).flatMap((name) => /^DNS:([^*"]+)$/.exec(name)?.[1] ?? []);
  return { cert, key, names: names.filter((name) => name !== 'localhost') };
}

/**
 * What a peer believes besides what the system does: certificates of a file, or what they issued. A host that shows the
 * very certificate of the file is the one that was meant, whatever it is called there.
 * @throws {Fault} FILE_MISSING, FILE_REFUSED, TLS_INVALID
 */
export async function trusting(path: string): Promise<ConnectionOptions> {
  const pem = await pemOf(path);
  const known = new Set(certificatesOf(pem, path).map(({ fingerprint256 }) => fingerprint256));
  return {
    ca: [...rootCertificates, pem],
    checkServerIdentity: (host, shown) =>
      known.has(shown.fingerprint256) ? undefined : checkServerIdentity(host, shown),
  };
}

/** `fetch` that believes what `trusting` gives: Node's own takes no such thing. For GET. */
export const fetchTrusting =
  (trust: ConnectionOptions): typeof globalThis.fetch =>
  (input, init) =>
    new Promise((resolve, reject) => {
      const headers: Record<string, string> = {};
      new Headers(init?.headers).forEach((value, name) => {
        headers[name] = value;
      });
      const url = new URL(String(input));
      const asked = httpsRequest(url, { ...trust, headers, signal: init?.signal ?? undefined }, (message) => {
        const given = Object.entries(message.headers).map(([name, value]): [string, string] => [name, String(value)]);
        // A web stream of Node is the browser's to the letter, but not to the type checker.
        const body = Readable.toWeb(message) as unknown as ReadableStream<Uint8Array>;
        resolve(new Response(body, { status: message.statusCode!, headers: given }));
      });
      asked.on('error', reject);
      asked.end();
    });

/** Of what OpenSSL and Node say when a certificate is not believed. */
const UNTRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ERR_TLS|HOSTNAME/;

/** A fault where a connection failed because of the other side's certificate. */
export function untrustedBy(error: unknown, address: string): Fault | undefined {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (!UNTRUSTED.test(code)) return undefined;
  const remedy = 'if you know it, give it with --tls_ca, else do not join';
  return new Fault('TLS_INVALID', `the certificate of ${address} is not trusted (${message}); ${remedy}`, {
    cause: error,
  });
}
