/** The parts of a peer in a browser that Node can run as well. */
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { WebSocket as NodeSocket } from 'ws';
import { readConfig } from '../../src/model/config.ts';
import { freshTensors, modelOf } from '../../src/model/model.ts';
import { nodeCompressor } from '../../src/peer/node/compressor.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { webSocketTransport } from '../../src/peer/node/transport-websocket.ts';
import { webCompressor } from '../../src/peer/web/compressor.ts';
import { webCrypto } from '../../src/peer/web/crypto.ts';
import { webSocketDialler } from '../../src/peer/web/dial.ts';
import { checkRun } from '../../src/peer/web/open.ts';
import { checkRoom, roomOf } from '../../src/peer/web/room.ts';
import type { Compressor } from '../../src/ports.ts';
import { ear, transportSuite } from '../suites/transport.ts';
import { MANIFEST } from './fake.ts';

const bytesOf = (length: number): Uint8Array => new Uint8Array(randomBytes(length));

test('what Node signs a browser verifies, and the other way round', () => {
  const [secret, message] = [bytesOf(32), bytesOf(100)];
  const signature = webCrypto.sign(secret, message);
  expect(signature).toEqual(nodeCrypto.sign(secret, message));
  expect(webCrypto.publicKey(secret)).toEqual(nodeCrypto.publicKey(secret));
  expect(nodeCrypto.verify(webCrypto.publicKey(secret), message, signature)).toBe(true);
  signature[5]! ^= 1;
  expect(webCrypto.verify(webCrypto.publicKey(secret), message, signature)).toBe(false);
  expect(webCrypto.sha256(secret, message)).toEqual(nodeCrypto.sha256(secret, message));
});

describe('DEFLATE', () => {
  const floats = new Uint8Array(Float32Array.from({ length: 30_000 }, (_, i) => Math.sin(i) * 1e-3).buffer);
  test.each<[string, Compressor, Compressor]>([
    ['a browser packs, Node unpacks', webCompressor, nodeCompressor],
    ['Node packs, a browser unpacks', nodeCompressor, webCompressor],
  ])('%s', (_, from, to) => {
    for (const bytes of [floats, new Uint8Array(0), new Uint8Array(100_000), bytesOf(10_000)]) {
      const packed = from.deflate(bytes);
      expect(to.inflate(packed, Math.max(1, bytes.length))).toEqual(bytes);
      if (bytes.length > 0) expect(to.inflate(packed, bytes.length - 1)).toBeUndefined();
      if (bytes.length > 0) expect(to.inflate(packed.subarray(0, packed.length >> 1), bytes.length)).toBeUndefined();
    }
    expect(to.inflate(bytesOf(1000).fill(255), 1e6)).toBeUndefined();
  });
});

const online = () => () => undefined;
const Socket = NodeSocket as unknown as typeof WebSocket;

transportSuite('WebSocket of a browser', () => {
  const { listen, close } = webSocketTransport();
  const dialler = webSocketDialler(Socket, online);
  return [webSocketTransport(), { ...dialler, listen, close }];
});

test('a system that goes offline ends its channels at once', async () => {
  const server = webSocketTransport();
  const address = await server.listen(() => ear());
  let goOffline: () => void = () => undefined;
  const near = ear();
  await webSocketDialler(Socket, (lost) => {
    goOffline = lost;
    return () => undefined;
  }).dial(address, near);
  goOffline();
  expect(near.ends).toEqual(['this machine is offline']);
  await server.close();
});

describe('what a tab refuses, before anything is fetched', () => {
  test('a run that is measured by code of its owner', () => {
    const reward = { path: 'reward.ts', bytes: 1, sha256: '0'.repeat(64) };
    expect(() => checkRun({ objective: { reward } })).toThrow(/CONFIG_INVALID: .* join from Node with --reward/);
    for (const objective of [undefined, 'accuracy', 'f1'] as const) checkRun(objective ? { objective } : {});
  });

  const config = (hidden: number, layers: number) => {
    const read = readConfig(
      JSON.stringify({
        ...{ model_type: 'llama', architectures: ['LlamaForCausalLM'], vocab_size: 32_000, hidden_size: hidden },
        ...{ intermediate_size: 3 * hidden, num_hidden_layers: layers, num_attention_heads: 16 },
        ...{ max_position_embeddings: 2048, tie_word_embeddings: true },
      }),
    );
    return modelOf(read, freshTensors(read));
  };

  test('a model that has no room', () => {
    const small = roomOf(config(256, 4), MANIFEST);
    checkRoom(small, 2 ** 32);
    expect(() => checkRoom(small, 2 ** 27)).toThrow(
      /TOO_LARGE: the model takes .* this device has 0\.1 GiB; join from Node/,
    );
    const large = roomOf(config(2048, 24), MANIFEST);
    // Weights of four bytes each, and what they are measured with.
    expect(large.total).toBeGreaterThan(4 * 24 * 13 * 2048 ** 2);
    expect(large.total).toBeGreaterThan(10 * small.total);
    expect(() => checkRoom({ runtime: 5 * 2 ** 30, total: 6 * 2 ** 30 }, Number.POSITIVE_INFINITY)).toThrow(
      /TOO_LARGE: one block of the model takes 5\.0 GiB/,
    );
  });
});
