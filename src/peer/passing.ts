/**
 * Which faults a peer tries again after.
 *
 * @module
 */
import type { Fault, FaultCode } from '../faults.ts';
import { Refusal } from './inbox.ts';

/** Refusals that trying again cannot change. */
const FATAL: ReadonlySet<FaultCode> = new Set(['CODE_WRONG', 'VERSION_UNSUPPORTED', 'EVICTED', 'REPLACED']);
/** Of our own faults, those that the network is to blame for. */
const PASSING: ReadonlySet<FaultCode> = new Set([
  'HOST_UNREACHABLE',
  'DOWNLOAD_FAILED',
  'FRAME_INVALID',
  'FRAME_TOO_LONG',
  'JOURNAL_CORRUPT',
  'JOURNAL_TORN',
  'MESSAGE_UNEXPECTED',
]);

/** @param fault of our own, or a refusal by the host. */
export const mayPass = (fault: Fault): boolean =>
  fault instanceof Refusal ? !FATAL.has(fault.code) : PASSING.has(fault.code);
