/**
 * The public door of Murmur for Node. A run is hosted and joined from the command line; from code, its journal is read,
 * verified and replayed, and the parts are there to build on.
 *
 * @module
 */

export { applyRound, recordKey } from './apply/apply.ts';
export { FAULTS, Fault, type FaultCode } from './faults.ts';
export { type JournalRecord, readJournal, verifyJournal } from './journal/reader.ts';
export type * from './nouns.ts';
export type { Kernels, TensorNoise, Term } from './numeric/kernels.ts';
export { everything, type Kept, maskOf } from './numeric/mask.ts';
export { referenceKernels } from './numeric/reference/reference.ts';
export { wasmKernels } from './numeric/wasm/wasm.ts';
export type { HostEvent, ParticipantEvent } from './peer/events.ts';
export { type Host, type HostOptions, startHost } from './peer/host.ts';
export { nodeCrypto } from './peer/node/crypto.ts';
export { type NodeReplica, openReplica, type ReplicaSpec } from './peer/node/open-replica.ts';
export { threadedReplica } from './peer/node/replica-thread.ts';
export { openRun, type RunFolder, replay } from './peer/node/run-folder.ts';
export { type Participant, type ParticipantOptions, startParticipant } from './peer/participant.ts';
export type { Replica } from './peer/replica.ts';
export type * from './ports.ts';
