/** Peers that die, freeze, leave, return, are doubled, or have other weights. */
import { expect } from 'vitest';
import type { Running } from '../../swarm/processes.ts';
import { atRound } from '../../swarm/run.ts';
import type { Scenario } from '../scenario.ts';
import { message, type Stage, stage, times, told, upon } from '../stage.ts';

/** Three peers, of which the victim has a line of its own. */
async function company(settings = {}) {
  const at = await stage({ settings: { min_peers: 3, max_steps: 60, ...settings } });
  const line = await at.lineTo();
  const victim = at.peer('victim', { over: line });
  return { at, line, victim, others: [at.peer('one'), at.peer('two')] };
}

const slotOf = async (peer: Running): Promise<unknown> => (await peer.waitFor(told('connected')))['slot'];

/** Another process with the key of the victim: the same peer. */
async function comesBack(at: Stage, victim: Running): Promise<Running> {
  const back = at.peer('victim');
  expect(await slotOf(back), 'the same key is the same peer').toBe(await slotOf(victim));
  return back;
}

async function dies(victim: Running): Promise<void> {
  victim.kill('SIGKILL');
  expect((await victim.exit()).signal).toBe('SIGKILL');
}

export const PEERS: readonly Scenario[] = [
  {
    fault: 'a peer is killed before its first contribution',
    async play() {
      const { at, line, victim, others } = await company();
      await upon(line, message('open'), 'lose');
      await dies(victim);
      return at.end(at.host, others);
    },
  },
  {
    fault: 'a peer is killed while it sends: half of a contribution arrives',
    async play() {
      const { at, line, victim, others } = await company();
      await upon(line, message('contribution', 5), 'half');
      await dies(victim);
      return at.end(at.host, others);
    },
  },
  {
    fault: 'a peer is killed just after its receipt was sent',
    async play() {
      const { at, line, victim, others } = await company();
      await upon(line, message('receipt', 5), 'lose');
      await dies(victim);
      return at.end(at.host, others);
    },
  },
  {
    fault: 'a peer is killed in a round, and started again with its key',
    async play() {
      const { at, line, victim, others } = await company({ max_steps: 150 });
      await upon(line, message('open', 5));
      await dies(victim);
      return at.end(at.host, [...others, await comesBack(at, victim)]);
    },
  },
  {
    fault: 'a peer is killed, and another key takes its place',
    async play() {
      const { at, line, victim, others } = await company({ max_steps: 150 });
      await upon(line, message('open', 5));
      await dies(victim);
      const other = at.peer('replacement');
      expect(await slotOf(other)).not.toBe(await slotOf(victim));
      return at.end(at.host, [...others, other]);
    },
  },
  {
    fault: 'a second process with the key of a peer that is there',
    async play() {
      const { at, victim, others } = await company({ max_steps: 150 });
      await victim.waitFor(atRound('measured', 5));
      const back = await comesBack(at, victim);
      expect(await victim.exit()).toMatchObject({ code: 1, done: { error: { code: 'REPLACED' } } });
      return at.end(at.host, [...others, back]);
    },
  },
  {
    fault: 'a peer is frozen (SIGSTOP) for many rounds, then goes on',
    async play() {
      const { at, line, victim, others } = await company({ max_steps: 200 });
      const slot = await slotOf(victim);
      await upon(line, message('open', 5));
      victim.kill('SIGSTOP');
      const late = told('peer', { slot, state: 'late' });
      await at.host.waitFor(late);
      const { round } = at.host.lines.findLast(told('round'))!;
      await at.host.waitFor(atRound('round', Number(round) + 20));
      victim.kill('SIGCONT');
      const before = victim.lines.length;
      await victim.waitFor((line) => victim.lines.indexOf(line) >= before && line.event === 'measured');
      const ending = await at.end(at.host, [...others, victim]);
      expect(at.host.lines.filter(late), 'it costs one deadline, not one a round').toHaveLength(1);
      return ending;
    },
  },
  {
    fault: 'all peers but one freeze in the same round, then go on',
    async play() {
      const { at, victim, others } = await company({ max_steps: 150 });
      await upon(at.line, message('open', 5));
      for (const other of others) other.kill('SIGSTOP');
      const { round } = await victim.waitFor(atRound('round', 30));
      expect(round).toBeGreaterThanOrEqual(30);
      for (const other of others) other.kill('SIGCONT');
      const ending = await at.end(at.host, [...others, victim]);
      expect(times(at.host, 'peer', { state: 'late' }), 'one deadline each').toBeLessThanOrEqual(2);
      return ending;
    },
  },
  {
    fault: 'a peer leaves (Ctrl+C), and is started again with its key',
    async play() {
      const { at, victim, others } = await company({ max_steps: 150 });
      await victim.waitFor(atRound('measured', 5));
      victim.kill('SIGINT');
      expect(await victim.exit()).toMatchObject({ code: 0, done: { reason: 'stopped' } });
      return at.end(at.host, [...others, await comesBack(at, victim)]);
    },
  },
  {
    fault: 'a peer whose weights are found to differ (DRIFT) builds them anew',
    async play() {
      const { at, line, victim, others } = await company({ max_steps: 150 });
      await upon(line, message('checksum', 5), 'flip');
      await victim.waitFor(told('rebuild'));
      return at.end(at.host, [...others, victim]);
    },
  },
  {
    fault: 'a contribution is damaged on the way: refused, and its sender comes back',
    async play() {
      const { at, line, victim, others } = await company({ max_steps: 150 });
      await upon(line, message('contribution', 5), 'flip');
      await victim.waitFor(told('disconnected', { code: 'SIGNATURE_WRONG' }));
      return at.end(at.host, [...others, victim]);
    },
  },
];
