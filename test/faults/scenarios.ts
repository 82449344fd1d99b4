/** Every scenario, by what the fault strikes. */
import type { Scenario } from './scenario.ts';
import { LINES } from './scenarios/lines.ts';
import { PEERS } from './scenarios/peers.ts';

export const GROUPS: Readonly<Record<string, readonly Scenario[]>> = { peers: PEERS, lines: LINES };
