/** Every scenario, by what the fault strikes. */
import type { Scenario } from './scenario.ts';
import { COMPANY } from './scenarios/company.ts';
import { DISK } from './scenarios/disk.ts';
import { HOST } from './scenarios/host.ts';
import { LINES } from './scenarios/lines.ts';
import { PEERS } from './scenarios/peers.ts';

export const GROUPS: Readonly<Record<string, readonly Scenario[]>> = {
  peers: PEERS,
  lines: LINES,
  host: HOST,
  disk: DISK,
  company: COMPANY,
};
