/**
 * Which faults of a peer pass when it tries again.
 *
 * @module
 */
import type { Fault, FaultCode } from '../faults.ts';
import { Refusal } from './inbox.ts';

/** Refusals that trying again cannot change. */
const FATAL: ReadonlySet<FaultCode> = new Set([
  'CODE_WRONG',
  'EVICTED',
  'INVITE_USED',
  'INVITE_WITHDRAWN',
  'NOT_ALLOWED',
  'REPLACED',
  'VERSION_UNSUPPORTED',
]);
/** Of our own faults, those that the network is to blame for. */
const PASSING: ReadonlySet<FaultCode> = new Set([
  'HOST_UNREACHABLE',
  'DOWNLOAD_FAILED',
  'FRAME_INVALID',
  'FRAME_TOO_LONG',
  'JOURNAL_CORRUPT',
  'JOURNAL_TORN',
  'MESSAGE_UNEXPECTED',
  'TOO_FAST',
]);

/** What came of numbers that a message of the other side had and that fit nothing here. */
export const isSenseless = (error: unknown): boolean => error instanceof RangeError || error instanceof TypeError;

/** What the host refused passes unless it is final; what we found ourselves, only where the network is to blame. */
export const isPassing = (fault: Fault): boolean =>
  fault instanceof Refusal ? !FATAL.has(fault.code) : PASSING.has(fault.code);
