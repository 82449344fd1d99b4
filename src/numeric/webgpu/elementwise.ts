/**
 * WGSL of the kernels that take each element alone: materialise, the factors of low-rank directions, the checksum.
 *
 * @module
 */
import { NOISE, THREADS } from './noise.ts';

/** Words of `Params` below, in order. */
export const PARAMS = ['n', 'exponent', 'key', 'offset', 'stream', 'bits'] as const;

const shader = (bindings: string, each: string): string => /* wgsl */ `${NOISE}
struct Params {
  ${PARAMS.map((name) => `${name}: ${name === 'exponent' ? 'i32' : 'u32'},`).join('\n  ')}
}
@group(0) @binding(0) var<uniform> p: Params;
${bindings}

@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) j: u32,
) {
  let i = (group.y * groups.x + group.x) * ${THREADS}u + j;
  if (i >= p.n) {
    return;
  }
  ${each}
}`;

export const MATERIALISE: string = shader(
  /* wgsl */ `
@group(0) @binding(1) var<storage, read_write> q: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;`,
  'out[i] = weight(q[i], p.exponent);',
);

/** @param at WGSL of the element of the factor that out[i] is. */
const factor = (bindings: string, at: string): string =>
  shader(
    /* wgsl */ `
@group(0) @binding(1) var<storage, read> entries: array<Entry>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;
${bindings}`,
    /* wgsl */ `
  let at = ${at};
  out[i] = p.bits ^ (minus(philox(entries[0], p.stream, at >> 7u), at & 127u) << 31u);`,
  );

export const FACTOR: string = factor('', 'i');
export const FACTOR_AT: string = factor(
  '@group(0) @binding(3) var<storage, read_write> index: array<u32>;',
  'index[i]',
);

/** Sums and a maximum of u32: atomics give the same bits in any order. */
export const CHECKSUM: string = shader(
  /* wgsl */ `
@group(0) @binding(1) var<storage, read_write> q: array<i32>;
@group(0) @binding(2) var<storage, read_write> sums: array<atomic<u32>, 3>;`,
  /* wgsl */ `
  let x = (p.offset + i) * 0x9e3779b1u + p.key;
  var a = (x ^ (x >> 16u)) * 0x85ebca6bu;
  a ^= a >> 13u;
  var b = a * 0xc2b2ae35u;
  b ^= b >> 16u;
  let value = bitcast<u32>(q[i]);
  atomicAdd(&sums[0], value * (a | 1u));
  atomicAdd(&sums[1], value * (b | 1u));
  atomicMax(&sums[2], select(value, 0u - value, q[i] < 0));`,
);
