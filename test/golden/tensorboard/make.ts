/**
 * The events of `events.out.tfevents.golden`. It was written once, by `writeFileSync(path, goldenEvents())`, and read by
 * TensorBoard 2.21.0 (`EventAccumulator`, and its record reader, which checks both checksums): test/cli/scribe.test.ts
 * says what it read.
 */
import { fileVersion, restarted, scalars } from '../../../src/cli/event-file.ts';
import { concat } from '../../../src/graph/protobuf.ts';

export const goldenEvents = (): Uint8Array =>
  concat([
    fileVersion(1_700_000_000.5),
    scalars(1_700_000_001.25, 0, { 'eval/loss': 0.6539714778725674, 'eval/accuracy': 0.625 }),
    scalars(1_700_000_002, 1, { 'train/records': 4, 'bytes/wire': 763 }),
    scalars(1_700_000_003, 2, { 'train/records': 4, 'bytes/wire': 1036 }),
    restarted(1_700_000_004, 2),
    scalars(1_700_000_005, 2, { 'train/records': 8, 'bytes/wire': 300 }),
    scalars(1_700_000_006, 3_000_000_000, { 'eval/loss': Number.NaN, 'train/gain': -1e-30 }),
  ]);
