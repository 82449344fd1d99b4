/**
 * The lease in a key-value bucket of JetStream.
 *
 * @module
 */
import { type KV, Kvm } from '@nats-io/kv';
import type { Entry, LeaseStore, Term } from './lease.ts';
import { isRefusal, type Nats, persist, REQUEST_MS, replicasOf } from './nats.ts';

const KEY = 'leader';

/** @throws {Fault} STORE_UNREACHABLE */
export async function kvLease(nats: Nats): Promise<LeaseStore> {
  const { js, names } = nats;
  // Not `allow_direct`: a copy that lags behind would show an old revision. (It could only delay, but why.)
  const options = { replicas: replicasOf(nats), history: 1, allow_direct: false, timeout: REQUEST_MS };
  const bucket: KV = await persist(nats, `the bucket ${names.lease}`, () => new Kvm(js).create(names.lease, options));
  return {
    async read() {
      const found = await bucket.get(KEY);
      if (found === null || found.operation !== 'PUT') return undefined;
      return { revision: found.revision, term: found.json<Term>() } satisfies Entry;
    },
    async write(term, revision) {
      try {
        const text = JSON.stringify(term);
        return revision === 0 ? await bucket.create(KEY, text) : await bucket.update(KEY, text, revision, REQUEST_MS);
      } catch (error) {
        if (isRefusal(error, 'wrongLastSequence')) return undefined;
        throw error;
      }
    },
  };
}
