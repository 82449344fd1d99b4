/** Hostile frames: valid ones, changed in every way that has a name, and noise. All of it follows from one seed. */
import { concatBytes } from '../../src/numeric/bytes.ts';

/** In [0, 1). */
export type Random = () => number;

export const below = (random: Random, n: number): number => Math.floor(random() * n);
export const pick = <T>(random: Random, from: readonly T[]): T => from[below(random, from.length)]!;
const bytes = (random: Random, n: number): Uint8Array => Uint8Array.from({ length: n }, () => below(random, 256));

type Mutation = (frame: Uint8Array, random: Random, other: () => Uint8Array) => Uint8Array;

const changed = (frame: Uint8Array, change: (copy: Uint8Array) => void): Uint8Array => {
  const copy = frame.slice();
  if (copy.length > 0) change(copy);
  return copy;
};

const HUGE = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f);

export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  flip: (frame, random) =>
    changed(frame, (copy) => {
      for (let n = 1 + below(random, 4); n > 0; n--) copy[below(random, copy.length)]! ^= 1 << below(random, 8);
    }),
  truncate: (frame, random) => frame.slice(0, below(random, frame.length)),
  extend: (frame, random) => concatBytes(frame, bytes(random, 1 + below(random, 40))),
  splice: (frame, random, other) =>
    concatBytes(frame.subarray(0, below(random, frame.length + 1)), other().subarray(below(random, 40))),
  /** A length, count or round where one may be. */
  length: (frame, random) =>
    changed(frame, (copy) => {
      const at = 1 + below(random, Math.min(12, copy.length));
      copy.set(
        bytes(random, Math.min(1 + below(random, 5), copy.length - Math.min(at, copy.length))),
        Math.min(at, copy.length),
      );
    }),
  huge: (frame, random) => {
    const at = below(random, Math.min(80, frame.length) + 1);
    return concatBytes(frame.subarray(0, at), HUGE, frame.subarray(at + below(random, 6)));
  },
  retype: (frame, random) =>
    changed(frame, (copy) => {
      copy[0] = below(random, 256);
    }),
  /** Whatever 64 octets lie there: signatures among them. */
  forge: (frame, random) =>
    changed(frame, (copy) => {
      const at = below(random, Math.max(1, copy.length - 63));
      copy.set(bytes(random, Math.min(64, copy.length - at)), at);
    }),
  /** As it was: in another order, round or connection, or a second time. */
  replay: (frame) => frame,
  noise: (_, random) => bytes(random, below(random, 4) === 0 ? below(random, 4000) : below(random, 120)),
};

const NAMES = Object.keys(MUTATIONS);

export interface Hostile {
  readonly kind: string;
  readonly frame: Uint8Array;
}

export function hostileFrame(random: Random, corpus: readonly Uint8Array[]): Hostile {
  const kind = pick(random, NAMES);
  const other = (): Uint8Array => pick(random, corpus);
  return { kind, frame: MUTATIONS[kind]!(other(), random, other) };
}
