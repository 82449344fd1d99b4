/** Who is there, and when: nobody, one, everybody again, somebody new. And runs that exchange vectors. */
import { expect } from 'vitest';
import type { Running } from '../../swarm/processes.ts';
import { atRound, journalOf, type Settings, textIn } from '../../swarm/run.ts';
import type { Scenario } from '../scenario.ts';
import { message, stage, times, told, upon } from '../stage.ts';

async function die(peers: readonly Running[]): Promise<void> {
  for (const peer of peers) peer.kill('SIGKILL');
  await Promise.all(peers.map((peer) => peer.exit()));
}

/** What waits is stopped, so that somebody can come late. */
async function asideWhile(peers: readonly Running[], act: () => Promise<unknown>): Promise<void> {
  for (const peer of peers) peer.kill('SIGSTOP');
  await act();
  for (const peer of peers) peer.kill('SIGCONT');
}

/** Two peers, three merges of eight steps. */
const VECTORS: Settings = {
  ...{ method: 'diloco', inner_steps: 8, max_steps: 32, peers: 0, min_peers: 2 },
};
const exchanging = (more: Settings = {}) => stage({ dataOf: textIn, settings: { ...VECTORS, ...more } });

export const COMPANY: readonly Scenario[] = [
  {
    fault: 'all peers are killed; the same come back',
    async play() {
      const at = await stage();
      const peers = [at.peer('one'), at.peer('two')];
      await at.host.waitFor(atRound('round', 5));
      await die(peers);
      return at.end(at.host, [at.peer('one'), at.peer('two')]);
    },
  },
  {
    fault: 'all peers leave before the first round; the same come back',
    async play() {
      const at = await stage({ settings: { min_peers: 3 } });
      const peers = [at.peer('one'), at.peer('two')];
      await Promise.all(peers.map((peer) => peer.waitFor(told('ready'))));
      await die(peers);
      return at.end(
        at.host,
        ['one', 'two', 'three'].map((name) => at.peer(name)),
      );
    },
  },
  {
    fault: 'the only peer is killed; a stranger goes on alone',
    async play() {
      const at = await stage({ settings: { min_peers: 1 } });
      const only = at.peer('only');
      await upon(at.line, message('open', 5));
      await die([only]);
      return at.end(at.host, [at.peer('stranger')]);
    },
  },
  {
    fault: 'peers and host are killed at the same moment; all come back',
    async play() {
      const at = await stage();
      const peers = [at.peer('one'), at.peer('two')];
      await upon(at.line, message('receipt', 5));
      at.host.kill('SIGKILL');
      await die([...peers, at.host]);
      return at.end(at.resume(), [at.peer('one'), at.peer('two')]);
    },
  },
  {
    fault: 'a peer joins late, with nothing but the link',
    async play() {
      const at = await stage({ settings: { min_peers: 1, max_steps: 80 } });
      const first = at.peer('first');
      await first.waitFor(atRound('round', 30));
      const late = at.peer('late', { files: false });
      await asideWhile([first], () => late.waitFor(told('ready')));
      return at.end(at.host, [first, late]);
    },
  },
  {
    fault: 'a peer joins while rounds are committed as fast as they go',
    async play() {
      const at = await stage({ settings: { min_peers: 1, max_steps: 300 } });
      const peers = [at.peer('first')];
      for (const [name, round] of [
        ['second', 10],
        ['third', 60],
      ] as const) {
        await at.host.waitFor(atRound('round', round));
        peers.push(at.peer(name));
      }
      return at.end(at.host, peers);
    },
  },
  {
    fault: 'a peer joins when the last round is open',
    async play() {
      const at = await stage({ settings: { min_peers: 1 } });
      const first = at.peer('first');
      await upon(at.line, message('open', 39));
      const late = at.peer('late');
      await asideWhile([first], () => late.waitFor(told('connected')));
      return at.end(at.host, [first, late]);
    },
  },
  {
    fault: 'a peer calls when the run is over: HOST_UNREACHABLE',
    async play() {
      const at = await stage({ settings: { max_steps: 5 } });
      const ending = await at.end(at.host, [at.peer('one'), at.peer('two')]);
      const late = await at.peer('late', { flags: ['--patience', '1'] }).exit();
      expect(late).toMatchObject({ code: 1, done: { error: { code: 'HOST_UNREACHABLE' } } });
      return ending;
    },
  },
  {
    fault: 'a peer becomes four times slower: rounds go on with smaller shares for it, none of them late',
    async play() {
      const at = await stage({ settings: { per_device_train_batch_size: 16, max_steps: 60 } });
      const peers = [at.peer('steady'), at.peer('tired')];
      await at.host.waitFor(atRound('round', 15));
      const awake = dozing(peers[1]!);
      const ending = await at.end(at.host, peers).finally(awake);
      expect(times(at.host, 'peer', { state: 'late' })).toBe(0);
      const { slot } = peers[1]!.lines.find(told('connected')) as unknown as { slot: number };
      const shares = journalOf(at.out).rounds.map(
        ({ segments }) => segments.find((one) => one.slot === slot)?.codes.length ?? 0,
      );
      const mean = (some: readonly number[]): number => some.reduce((sum, n) => sum + n, 0) / some.length;
      expect(mean(shares.slice(40))).toBeLessThan(mean(shares.slice(5, 15)));
      return ending;
    },
  },
  {
    fault: 'vectors: the host is killed when one of two shares is receipted',
    async play() {
      const at = await exchanging();
      const peers = [at.peer('one'), at.peer('two')];
      await upon(at.line, message('receipt', 1));
      at.host.kill('SIGKILL');
      await at.host.exit();
      return at.end(at.resume(), peers);
    },
  },
  {
    fault: 'vectors: a peer is killed while the host fetches its share',
    async play() {
      const at = await exchanging();
      const line = await at.lineTo();
      const [one, two] = [at.peer('one'), at.peer('two', { over: line })];
      await upon(line, (passing) => 'message' in passing && passing.message.type === 'chunk', 'half');
      await die([two]);
      return at.end(at.host, [one, at.peer('two')]);
    },
  },
  {
    fault: 'vectors: every tenth chunk breaks its connection in its middle',
    async play() {
      const at = await exchanging();
      let chunks = 0;
      at.line.decide((passing) =>
        'message' in passing && passing.message.type === 'chunk' && ++chunks % 10 === 0 ? 'half' : undefined,
      );
      return at.end(at.host, [at.peer('one'), at.peer('two')]);
    },
  },
];

/** Lets a process run a quarter of the time. @returns lets it run freely again. */
function dozing(peer: Running): () => void {
  let timer: NodeJS.Timeout;
  const stop = (): void => {
    peer.kill('SIGSTOP');
    timer = setTimeout(go, 30);
  };
  const go = (): void => {
    peer.kill('SIGCONT');
    timer = setTimeout(stop, 10);
  };
  stop();
  return () => {
    clearTimeout(timer);
    peer.kill('SIGCONT');
  };
}
