/** Lines that are late, slow, silent, broken off, or dead in one direction. */
import { expect } from 'vitest';
import { atRound } from '../../swarm/run.ts';
import type { Fate, Passing } from '../proxy.ts';
import type { Scenario } from '../scenario.ts';
import { message, stage, times, told, upon } from '../stage.ts';

/** Two peers, the second over a line of its own. */
async function pair(settings = {}) {
  const at = await stage({ settings });
  const line = await at.lineTo();
  return { at, line, near: () => at.peer('near'), far: () => at.peer('far', { over: line }) };
}

/** One direction of a line dies in the middle of the run; the system resets its connections when it is mended. */
const halfOpen = (dead: 'to host' | 'to peer'): Scenario => ({
  fault: `a line is half-open for a while: nothing arrives ${dead === 'to host' ? 'at the host' : 'at the peer'}`,
  async play() {
    const { at, line, near, far } = await pair({ max_steps: 100 });
    const peers = [near(), far()];
    await peers[1]!.waitFor(atRound('measured', 5));
    line.become({ dead });
    await at.host.waitFor(told('peer', { name: 'far', state: 'late' }));
    const { round } = at.host.lines.findLast(told('round'))!;
    await at.host.waitFor(atRound('round', Number(round) + 10));
    line.become();
    line.reset();
    const ending = await at.end(at.host, peers);
    expect(times(at.host, 'peer', { name: 'far', state: 'late' }), 'one deadline').toBe(1);
    return ending;
  },
});

/** As `halfOpen`, and nobody resets anything: the host has to find out by itself. */
const neverMended: Scenario = {
  fault: 'a line is half-open for good: the host gives it up (pings), the peer comes back over a new connection',
  async play() {
    const { at, line, near, far } = await pair({ max_steps: 100 });
    const peers = [near(), far()];
    await peers[1]!.waitFor(atRound('measured', 5));
    line.become({ dead: 'to peer' });
    await at.host.waitFor(told('peer', { name: 'far', state: 'late' }));
    peers[0]!.kill('SIGSTOP'); // the run waits for somebody
    await at.host.waitFor(told('peer', { name: 'far', state: 'gone' }));
    line.become();
    await peers[1]!.waitFor(told('disconnected'));
    await at.host.waitFor(() => times(at.host, 'peer', { name: 'far', state: 'ready' }) > 1);
    peers[0]!.kill('SIGCONT');
    return at.end(at.host, peers);
  },
};

/** Every `n`th contribution or commit breaks the connection, in the middle or behind it. */
function everyNth(n: number): (passing: Passing) => Fate | undefined {
  let count = 0;
  const breaks = [message('contribution'), message('commit')];
  return (passing) => {
    if (!breaks.some((holds) => holds(passing)) || ++count % n !== 0) return undefined;
    return (count / n) % 2 === 0 ? 'half' : 'cut';
  };
}

const breaksWithin = (type: 'contribution' | 'commit' | 'receipt' | 'open', fate: Fate): Scenario => ({
  fault: `a connection is reset ${fate === 'half' ? 'in the middle of' : 'right behind'} ${type === 'open' ? 'an' : 'a'} ${type}`,
  async play() {
    const { at, line, near, far } = await pair();
    const peers = [near(), far()];
    await upon(line, message(type, 5), fate);
    await peers[1]!.waitFor(told('disconnected'));
    return at.end(at.host, peers);
  },
});

/** Answers to requests whose path begins so break off after `each` bytes. */
const breaksOff = (path: string, each: number, most: number) => (): ((passing: Passing) => Fate | undefined) => {
  let breaks = 0;
  return (passing) =>
    'path' in passing && passing.path.startsWith(path) && passing.bytes >= each && breaks < most && ++breaks
      ? 'half'
      : undefined;
};

/** A peer that comes later, with nothing but the link, over a line on which downloads break off. */
async function fetches(path: string, each: number, most: number) {
  const { at, line, near } = await pair({ min_peers: 1, max_steps: 120 });
  const first = near();
  await first.waitFor(atRound('round', 30));
  first.kill('SIGSTOP'); // the run waits for the other
  line.decide(breaksOff(path, each, most)());
  const late = at.peer('late', { over: line, files: false });
  await late.waitFor(told('ready'));
  first.kill('SIGCONT');
  const ending = await at.end(at.host, [first, late]);
  const bytes = [...line.answered].reduce((sum, [asked, some]) => sum + (asked.startsWith(path) ? some : 0), 0);
  return { ending, bytes, breaks: late.lines.filter(told('disconnected')).length };
}

export const LINES: readonly Scenario[] = [
  {
    fault: 'one line is long: 150 ms each way, up to 100 more',
    async play() {
      const { at, line, near, far } = await pair({ max_steps: 15 });
      line.become({ delayMs: 150, jitterMs: 100 });
      const ending = await at.end(at.host, [near(), far()]);
      expect(times(at.host, 'peer', { state: 'late' })).toBe(0);
      return ending;
    },
  },
  {
    fault: 'all lines are long: 80 ms each way, up to 40 more',
    async play() {
      const { at, near, line, far } = await pair({ max_steps: 15 });
      for (const one of [line, at.line]) one.become({ delayMs: 80, jitterMs: 40 });
      return at.end(at.host, [near(), far()]);
    },
  },
  {
    fault: 'a line carries 2 kB a second',
    async play() {
      const { at, line, near, far } = await pair({ max_steps: 15 });
      line.become({ bytesPerSecond: 2000 });
      return at.end(at.host, [near(), far()]);
    },
  },
  {
    fault: 'a line falls silent in the middle of a round, and is itself again after the deadline',
    async play() {
      const { at, line, near, far } = await pair({ max_steps: 100 });
      const peers = [near(), far()];
      await upon(line, message('open', 5));
      line.become({ silent: true });
      await at.host.waitFor(told('peer', { name: 'far', state: 'late' }));
      const { round } = at.host.lines.findLast(told('round'))!;
      await at.host.waitFor(atRound('round', Number(round) + 10));
      line.become();
      const ending = await at.end(at.host, peers);
      expect(times(at.host, 'peer', { name: 'far', state: 'late' }), 'one deadline').toBe(1);
      return ending;
    },
  },
  {
    fault: 'all lines fall silent, and new connections with them, for five seconds',
    async play() {
      const { at, line, near, far } = await pair();
      const peers = [near(), far()];
      await upon(line, message('contribution', 5));
      for (const one of [line, at.line]) one.become({ silent: true });
      const stranger = at.peer('stranger');
      await new Promise((over) => setTimeout(over, 5000));
      for (const one of [line, at.line]) one.become();
      return at.end(at.host, [...peers, stranger]);
    },
  },
  halfOpen('to host'),
  halfOpen('to peer'),
  neverMended,
  {
    fault: 'every tenth contribution or commit breaks its connection, in its middle or behind it',
    async play() {
      const at = await stage({ settings: { max_steps: 30 } });
      at.line.decide(everyNth(10));
      const peers = [at.peer('one'), at.peer('two')];
      return at.end(at.host, peers);
    },
  },
  breaksWithin('open', 'half'),
  breaksWithin('contribution', 'half'),
  breaksWithin('contribution', 'cut'),
  breaksWithin('receipt', 'half'),
  breaksWithin('commit', 'half'),
  {
    fault: 'a commit is damaged on the way: its peer reads the journal anew',
    async play() {
      const { at, line, near, far } = await pair();
      const peers = [near(), far()];
      await upon(line, message('commit', 5), 'flip');
      await peers[1]!.waitFor(told('disconnected'));
      return at.end(at.host, peers);
    },
  },
  {
    fault: 'a door refuses connections until a peer has tried twice',
    async play() {
      const { at, line, near, far } = await pair();
      line.become({ refuses: true });
      const peers = [near(), far()];
      await peers[1]!.waitFor(() => times(peers[1]!, 'disconnected') >= 2);
      line.become();
      return at.end(at.host, peers);
    },
  },
  {
    fault: 'the download of the journal breaks off three times',
    async play() {
      const { ending, bytes } = await fetches('journal', 1, 3);
      expect(bytes).toBeGreaterThan(0);
      return ending;
    },
  },
  {
    fault: 'the download of the model breaks off every 300 kB',
    async play() {
      const { ending, bytes } = await fetches('blob', 300_000, 100);
      // 1.8 MB of files: what came before a break is not fetched again.
      expect(bytes).toBeLessThan(6_000_000);
      return ending;
    },
  },
];
