import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolveModel } from '../../src/model/node/resolve.ts';
import { fakeHub } from './fake-hub.ts';

const ID = 'maker/tiny';
const weights = Uint8Array.from({ length: 50_000 }, (_, i) => i * 17);
const hub = fakeHub(ID, {
  'config.json': new TextEncoder().encode('{}'),
  'tokenizer.json': new TextEncoder().encode('{}'),
  'model.safetensors': weights,
});

let server: Server;
let endpoint: string;
let cache: string;

beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'murmur-http-'));
  server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url!, endpoint);
    // the Hub sends large files from elsewhere
    if (pathname.endsWith('.safetensors') && !searchParams.has('elsewhere')) {
      response.writeHead(302, { location: `${pathname}?elsewhere` }).end();
      return;
    }
    const range = request.headers.range;
    const answer = await hub.fetch(new URL(request.url!, endpoint), { headers: range ? { range } : {} });
    response.statusCode = answer.status;
    answer.headers.forEach((value, name) => {
      response.setHeader(name, value);
    });
    try {
      const reader = answer.body!.getReader();
      for (let next = await reader.read(); !next.done; next = await reader.read()) response.write(next.value);
      response.end();
    } catch {
      setTimeout(() => response.destroy(), 20); // let what was written arrive
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await new Promise((done) => server.close(done));
  await rm(cache, { recursive: true });
});

test('over HTTP: redirected, cut, resumed, verified', async () => {
  hub.mishaps.cutAfter = [99, 99, 30_000];
  const model = await resolveModel(ID, { cache, endpoint, fetch, sleep: async () => undefined });
  expect(Uint8Array.from(await readFile(model.files.get('model.safetensors')!))).toEqual(weights);
  expect(hub.served.map(({ range }) => range).filter(Boolean)).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
});
