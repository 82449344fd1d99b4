/** A small, plausible run: its manifest, entries of every type, and the journal made of them. */
import { openJournal } from '../../src/journal/journal.ts';
import { type Entry, HOST_SLOT, type Manifest, NO_LOSS } from '../../src/nouns.ts';
import { toHex } from '../../src/numeric/bytes.ts';
import { memoryStore } from '../../src/peer/memory-store.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import type { Crypto } from '../../src/ports.ts';

export const bytesFrom = (first: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (first + i) % 256);

/** Ed25519 seed of the coordinator: 00 01 … 1f. */
export const SECRET = bytesFrom(0, 32);

const sha256 = (name: string) => toHex(nodeCrypto.sha256(new TextEncoder().encode(name)));
const blob = (path: string, bytes: number) => ({ path, bytes, sha256: sha256(path) });

export const MANIFEST: Manifest = {
  format: 1,
  numbers: 1,
  base: {
    name: 'quill',
    files: [blob('config.json', 712), blob('model.safetensors', 1_048_576), blob('tokenizer.json', 65_536)],
  },
  view: 'full',
  method: 'onebyte',
  direction: { kind: 'lowrank', rank: 1, scale: 1 },
  eps: 0.001,
  learning_rate: 0.001,
  lr_scheduler_type: 'linear',
  warmup_steps: 0,
  max_steps: 20,
  reduction: 'mean',
  records_per_round: 8,
  samples_per_record: 1,
  initial_scale: 134_217_728,
  clip: 127,
  task: {
    kind: 'choice',
    prompt: '{text}\nIt was',
    label_column: 'label',
    labels: [
      { value: '0', word: ' terrible' },
      { value: '1', word: ' great' },
    ],
  },
  data: { train: blob('train.jsonl', 200_000), eval: blob('dev.jsonl', 20_000), eval_fraction: 0 },
  seed: 42,
  forward_precision: 'f32',
  coordinator: toHex(nodeCrypto.publicKey(SECRET)),
};

const round = (number: number, usable: number, segments: readonly [number, number, readonly number[]][]): Entry => ({
  type: 'round',
  round: {
    header: { round: number, usable, gain: 0.001 / usable, scale: 134_217_728, clip: 127 },
    segments: segments.map(([slot, from, codes]) => ({ slot, from, codes: Int8Array.from(codes) })),
  },
});

export const ENTRIES: readonly Entry[] = [
  { type: 'manifest', manifest: MANIFEST },
  { type: 'admit', slot: 0, key: bytesFrom(32, 32), name: 'ada' },
  { type: 'admit', slot: 1, key: bytesFrom(64, 32), name: 'Łukasz 🐦' },
  { type: 'evaluation', round: 0, slot: HOST_SLOT, metrics: { 'eval/loss': 0.7031, 'eval/accuracy': 0.58 } },
  round(0, 7, [
    [1, 0, [12, -7, 127, -127]],
    [0, 4, [0, NO_LOSS, 3, -1]],
  ]),
  { type: 'evict', slot: 0, reason: 'SIGNATURE_WRONG' },
  round(1, 2, [[1, 5, [100, -100]]]),
  { type: 'digest', round: 2, root: bytesFrom(96, 32) },
];

/** The bytes of a journal of these entries. */
export async function journalOf(entries: readonly Entry[] = ENTRIES, crypto: Crypto = nodeCrypto): Promise<Uint8Array> {
  const journal = await openJournal(memoryStore(), crypto, SECRET);
  await journal.appendAll(entries);
  return journal.read();
}

/** Remembers what it verified: the same few records are verified thousands of times when a journal is damaged. */
export function memoised(crypto: Crypto): Crypto {
  const known = new Map<string, boolean>();
  return {
    ...crypto,
    verify(key, message, signature) {
      const id = [key, message, signature].map(String).join(':');
      const answer = known.get(id) ?? crypto.verify(key, message, signature);
      known.set(id, answer);
      return answer;
    },
  };
}
