import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
// @ts-expect-error: plain JavaScript, which the benches run as it is
import { openLink } from '../../bench/link.mjs';
import { encodeFloats } from '../../src/compress/formats.ts';
import { fromHex, toHex } from '../../src/numeric/bytes.ts';
import { mergesOf } from '../../src/peer/ledger.ts';
import { nodeCompressor } from '../../src/peer/node/compressor.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { readMemory } from '../../src/peer/node/memory-file.ts';
import { MEMORY_FILE, MERGES_FOLDER, OFFERS_FOLDER } from '../../src/peer/node/run-folder.ts';
import { chunkLengths, encodeOffer, pack } from '../../src/wire/chunks.ts';
import { eventually } from './processes.ts';
import { rawPeer } from './raw-peer.ts';
import {
  again,
  atRound,
  expectOneDigest,
  journalEntries,
  linkOf,
  type Place,
  place,
  RUNNABLE,
  resultOf,
  textIn,
} from './run.ts';

const LONG = { timeout: 300_000 };

const merges = (at: Place) => mergesOf(journalEntries(at.out));
const slotsIn = (at: Place): number[][] => merges(at).map(({ shares }) => shares.map(({ slot }) => slot));

/** The same link through a line that is narrow one way: a share of quill, or a merge, takes some seconds. */
async function narrow(link: string, way: 'up' | 'down' = 'up') {
  const { hostname, port } = new URL(link);
  const rate = { bitsPerSecond: 8e6, latencyMs: 5 };
  const line = await openLink({ target: { host: hostname, port: Number(port) }, [way]: rate });
  onTestFinished(() => line.close());
  return { line, link: link.replace(`${hostname}:${port}`, line.address) };
}

describe.skipIf(!RUNNABLE)('peers that exchange vectors (npm run build makes the processes)', () => {
  test.each([
    ['diloco', { inner_steps: 4, max_steps: 24 }],
    [
      'diloco, streaming in four bits',
      { inner_steps: 8, fragments: 2, overlap_steps: 2, exchange_format: 'e3m0', max_steps: 24 },
    ],
    ['ddp', { max_steps: 6 }],
    ['dpu', { max_steps: 6 }],
    ['acco', { max_steps: 4 }],
    ['monna', { max_steps: 6, learning_rate: 1e-2 }],
  ])('%s: three peers, one late with nothing but the link: one digest, and replay has it', LONG, async (name, more) => {
    const at = place(textIn);
    const host = at.host({ method: name.split(',')[0]!, peers: 2, ...more });
    const link = await linkOf(host);
    await host.waitFor(atRound('merge', 1));
    const late = at.join(link, 'late', { files: false });
    const digest = await expectOneDigest(at, host, [late]);
    expect(await resultOf(at.run('replay', at.out))).toMatchObject({ digest });
    expect(readdirSync(join(at.out, OFFERS_FOLDER)), 'shares are forgotten when they are merged').toEqual([]);
    const rebuilt = join(at.folder, 'model');
    expect(await resultOf(at.run('export', at.out, '--output_dir', rebuilt))).toMatchObject({ path: rebuilt });
  });

  test(
    'kill -9 of a peer while its share is on the way: the others merge theirs, and it comes back',
    LONG,
    async () => {
      const at = place(textIn);
      const host = at.host({ method: 'diloco', peers: 0, min_peers: 3, inner_steps: 4, max_steps: 32 });
      const link = await linkOf(host);
      const { line, link: slow } = await narrow(link);
      const others = [at.join(link, 'one'), at.join(link, 'two')];
      const victim = at.join(slow, 'victim');
      const slot = Number((await victim.waitFor(({ event }) => event === 'connected'))['slot']);
      await victim.waitFor(({ event }) => event === 'trained');
      const before = line.counters().up.bytes;
      await eventually('a part of it is with the host', () => line.counters().up.bytes > before + 100_000);
      victim.kill('SIGKILL');
      expect((await victim.exit()).signal).toBe('SIGKILL');
      await host.waitFor(atRound('merge', 1));
      expect(slotsIn(at)[0]).not.toContain(slot);
      expect(slotsIn(at)[0]).toHaveLength(2);
      const back = at.join(link, 'victim');
      expect((await back.waitFor(({ event }) => event === 'connected'))['slot']).toBe(slot);
      await expectOneDigest(at, host, [...others, back]);
      expect(slotsIn(at).at(-1), 'it works again').toContain(slot);
    },
  );

  test(
    'kill -9 of the host while shares are on the way: it goes on, and what it had receipted is merged',
    LONG,
    async () => {
      const at = place(textIn);
      const settings = { method: 'diloco', peers: 0, min_peers: 2, inner_steps: 4, max_steps: 20 };
      let host = at.host(settings);
      const link = await linkOf(host);
      const { line, link: slow } = await narrow(link);
      const [quick, narrowed] = [at.join(link, 'quick'), at.join(slow, 'narrow')];
      const first = Number((await quick.waitFor(({ event }) => event === 'connected'))['slot']);
      await quick.waitFor(({ event, what }) => event === 'moved' && what === 'share');
      await narrowed.waitFor(({ event }) => event === 'trained');
      host.kill('SIGKILL');
      await host.exit();
      expect(merges(at), 'the round was open').toEqual([]);
      expect(readdirSync(join(at.out, OFFERS_FOLDER)).length, 'the share is on disk').toBeGreaterThan(0);
      host = at.host({ ...settings, ...again(link) });
      await expectOneDigest(at, host, [quick, narrowed]);
      expect(slotsIn(at)[0]).toContain(first);
      expect(line.counters().connections).toBeGreaterThan(1);
    },
  );

  test(
    'a line that is cut while a merge is on its way: the peer dials again, and the host stays until it has the last',
    LONG,
    async () => {
      const at = place(textIn);
      const host = at.host({ method: 'diloco', peers: 0, min_peers: 2, inner_steps: 4, max_steps: 8 });
      const link = await linkOf(host);
      const { line, link: slow } = await narrow(link, 'down');
      const peers = [at.join(link, 'quick'), at.join(slow, 'narrow')];
      await host.waitFor(atRound('merge', 1));
      const before = line.counters().down.bytes;
      await eventually('a part of the merge has arrived', () => line.counters().down.bytes > before + 500_000);
      line.cut();
      await peers[1]!.waitFor(({ event }) => event === 'disconnected');
      await host.waitFor(({ event, phase }) => event === 'phase' && phase === 'done');
      const done = line.counters().down.bytes;
      await expectOneDigest(at, host, peers);
      expect(line.counters().down.bytes, 'after the run was done').toBeGreaterThan(done + 500_000);
    },
  );

  test('Ctrl+C and the same command again: the weights are those of a run that was never stopped', LONG, async () => {
    const settings = { method: 'diloco', peers: 2, inner_steps: 4, max_steps: 40, learning_rate: 1e-3 };
    const whole = place(textIn);
    const { digest } = await resultOf(whole.host(settings));
    const at = place(textIn);
    const first = at.host(settings);
    await first.waitFor(atRound('merge', 3));
    first.kill('SIGINT');
    expect((await first.exit()).code).not.toBe(0);
    const stopped = merges(at).length;
    expect(stopped).toBeLessThan(10);
    expect(await resultOf(at.host(settings))).toMatchObject({ digest });
    expect(merges(at)).toHaveLength(10);
  });

  test('a chunk that is damaged, or no vector, is refused by name and counts for nothing', LONG, async () => {
    const at = place(textIn);
    const host = at.host({ method: 'diloco', peers: 0, min_peers: 2, inner_steps: 4, max_steps: 12 });
    const link = await linkOf(host);
    const honest = at.join(link, 'honest');
    const slot = Number((await honest.waitFor(({ event }) => event === 'connected'))['slot']);
    const raw = await rawPeer(link, 1);
    await raw.enterAs(honest);
    const open = await raw.next('open');
    const chunks = Math.ceil(869_504 / 2 ** 17);
    // As many chunks as the weights have, of the right names and the wrong bytes.
    const good = new Uint8Array(10);
    const hashes = Array.from({ length: chunks }, (_, i) => nodeCrypto.sha256(Uint8Array.of(i)));
    raw.send(raw.contribution(open, [...encodeOffer({ count: open.count, hashes })]));
    const { hashes: asked } = await raw.next('want');
    raw.send({ type: 'chunk', hash: asked[0]!, packed: Uint8Array.of(0, ...good) });
    expect(await raw.next('refused')).toMatchObject({ code: 'BLOB_MISMATCH' });

    // The right names of bytes that are no vector: found out when they are merged.
    const liar = await rawPeer(link, 2);
    await liar.enterAs(honest);
    const second = await liar.next('open');
    const bytes = Array.from({ length: chunks }, (_, i) => Uint8Array.of(7, i));
    const names = bytes.map((each) => nodeCrypto.sha256(each));
    liar.send(liar.contribution(second, [...encodeOffer({ count: second.count, hashes: names })]));
    for (let left = chunks; left > 0; ) {
      const { hashes: wanted } = await liar.next('want');
      for (const hash of wanted) {
        const found = names.findIndex((name) => toHex(name) === toHex(hash));
        liar.send({ type: 'chunk', hash, packed: Uint8Array.of(0, ...bytes[found]!) });
        left--;
      }
    }
    expect(await liar.next('refused')).toMatchObject({ code: 'SHARE_INVALID' });
    await expectOneDigest(at, host, [honest]);
    for (const slots of slotsIn(at)) expect(slots).toEqual([slot]);
  });

  /** Parts whose optimizer a file of what is remembered has something of. */
  async function partsIn(path: string, run: Uint8Array): Promise<number[]> {
    const memory = await readMemory(path, run);
    return memory!.outer.flatMap((parts) => parts.flatMap((state, part) => (state ? [part] : [])));
  }

  test(
    'what the optimizer keeps lies with the peers, each part with one of them, and nothing with the host',
    LONG,
    async () => {
      const at = place(textIn);
      const host = at.host({
        method: 'ddp',
        peers: 0,
        min_peers: 3,
        shard_optimizer: 'true',
        max_steps: 4,
        save_steps: 4,
      });
      const link = await linkOf(host);
      const names = ['one', 'two', 'three'];
      await expectOneDigest(
        at,
        host,
        names.map((name) => at.join(link, name)),
      );
      const run = fromHex(String(host.lines.find(({ event }) => event === 'listening')!['run']));
      const kept = await Promise.all(
        names.map((name) => {
          const folder = join(at.folder, `${name}-cache/murmur/memory`);
          return partsIn(join(folder, readdirSync(folder)[0]!), run);
        }),
      );
      expect(kept.flat().sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
      expect(await partsIn(join(at.out, MEMORY_FILE), run)).toEqual([]);
    },
  );

  test.each([
    ['diloco', { inner_steps: 4, max_steps: 12, exchange_format: 'int8' }],
    ['ddp', { max_steps: 6 }],
  ])('%s: merges that peers make, some parts each, are those that the host makes', LONG, async (method, more) => {
    const digests: unknown[] = [];
    for (const shard_optimizer of ['false', 'true']) {
      const at = place(textIn);
      const { digest } = await resultOf(at.host({ method, peers: 2, shard_optimizer, ...more }));
      digests.push(digest);
    }
    expect(digests[1]).toBe(digests[0]);
  });

  test('a peer that is killed while peers make merges costs its parts of one, and the run goes on', LONG, async () => {
    const at = place(textIn);
    const host = at.host({ method: 'acco', peers: 0, min_peers: 3, shard_optimizer: 'true', max_steps: 3 });
    const link = await linkOf(host);
    const others = [at.join(link, 'one'), at.join(link, 'two')];
    const victim = at.join(link, 'victim');
    await host.waitFor(atRound('merge', 1));
    victim.kill('SIGKILL');
    await victim.exit();
    await host.waitFor(atRound('merge', merges(at).length + 2));
    const back = at.join(link, 'victim');
    await expectOneDigest(at, host, [...others, back]);
  });

  test('a peer whose weights are lies is not mixed by those that mix what is near to their own', LONG, async () => {
    const at = place(textIn);
    const flags = { method: 'monna', peers: 0, min_peers: 3, max_steps: 8, learning_rate: 1e-2 };
    const host = at.host({ ...flags, momentum: 0.5, per_device_train_batch_size: 8 });
    const link = await linkOf(host);
    const peers = ['one', 'two', 'three'].map((name) => at.join(link, name));
    await host.waitFor(atRound('merge', 1));
    const liar = await rawPeer(link, 1);
    await liar.enterAs(peers[0]!);
    // As if its steps had taken every weight to -1 and farther.
    const chunks = chunkLengths(869_504).map((length) => encodeFloats('f32', new Float32Array(length).fill(1)));
    const names = chunks.map((chunk) => nodeCrypto.sha256(chunk));
    const lies = async (): Promise<void> => {
      for (;;) {
        const message = await liar.next(['open', 'want', 'done']);
        if (message.type === 'done') return;
        if (message.type === 'open')
          liar.send(liar.contribution(message, [...encodeOffer({ count: message.count, hashes: names })]));
        else
          for (const hash of message.hashes) {
            const found = names.findIndex((name) => toHex(name) === toHex(hash));
            liar.send({ type: 'chunk', hash, packed: pack(chunks[found]!, nodeCompressor) });
          }
      }
    };
    const lying = lies().catch(() => undefined); // the host is gone at some time
    await host.waitFor(atRound('merge', 8));
    liar.close(); // it never makes the last weights, and the host would wait for that
    await expectOneDigest(at, host, peers);
    await lying;
    expect(slotsIn(at).flat(), 'it was heard').toContain(liar.slot);
    const { done } = await host.exit();
    expect(Number(done!['eval/loss'])).toBeLessThan(Number(done!['eval/loss_before']));
  });

  test('a peer that stops reading costs one deadline; when it wakes it has the weights of all', LONG, async () => {
    const at = place(textIn);
    const host = at.host({ method: 'diloco', peers: 0, min_peers: 3, inner_steps: 4, max_steps: 48 });
    const link = await linkOf(host);
    const others = [at.join(link, 'one'), at.join(link, 'two')];
    const frozen = at.join(link, 'frozen');
    const slot = Number((await frozen.waitFor(({ event }) => event === 'connected'))['slot']);
    await host.waitFor(atRound('merge', 2));
    const before = host.lines.length;
    frozen.kill('SIGSTOP');
    await host.waitFor(atRound('merge', 6));
    // Once late it is given no work before it is heard of again: the other rounds do not wait for it.
    const late = host.lines
      .slice(before)
      .filter((line) => line.event === 'peer' && line['slot'] === slot && line['state'] === 'late');
    expect(late.length, 'rounds that waited for it').toBe(1);
    frozen.kill('SIGCONT');
    await expectOneDigest(at, host, [...others, frozen]);
    const missed = slotsIn(at).filter((slots) => !slots.includes(slot));
    expect(missed.length).toBeGreaterThan(1);
  });

  test('a merge that is damaged on disk is named by verify', LONG, async () => {
    const at = place(textIn);
    await resultOf(at.host({ method: 'diloco', peers: 1, inner_steps: 2, max_steps: 4 }));
    const chunk = toHex(merges(at)[1]!.chunks[0]!);
    const path = join(at.out, MERGES_FOLDER, chunk);
    const bytes = readFileSync(path);
    bytes[100]! ^= 1;
    writeFileSync(path, bytes);
    const { code, stderr } = await at.run('verify', at.out).exit();
    expect(code).not.toBe(0);
    expect(stderr).toMatch(new RegExp(`BLOB_MISMATCH: .*${chunk}`));
  });
});
