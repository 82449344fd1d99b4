/**
 * Orders to a host that runs, over HTTP on its own port (docs/WIRE.md 6). The code that guards them is new at every start
 * and lies, with the address, in a file of the run's folder that only its owner can read.
 *
 * @module
 */
import { readFile, rm } from 'node:fs/promises';
import type { RequestListener, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { z } from 'zod';
import { FAULTS, Fault, type FaultCode } from '../../faults.ts';
import { toUtf8 } from '../../numeric/text.ts';
import { equalSlowly } from '../door.ts';
import type { Ledger } from '../ledger.ts';
import { type Named, slotOf } from '../named.ts';
