/**
 * WGSL of Σ c·z over many directions, which is what applying a round computes, and measuring along one direction too.
 * How z is drawn (`sums`) and what becomes of the sum (`ends`) are chosen apart.
 *
 * The noise of a tile of elements and terms is drawn once, a Philox block for each invocation, and shared by the
 * workgroup: a block holds 128 signs, and drawing it costs more than a hundred additions.
 *
 * @module
 */
import { BINOMIAL_STREAM, DENSE_STREAM, U_STREAM, V_STREAM } from '../noise.ts';
import { NOISE, THREADS } from './noise.ts';

/** How a direction is drawn on a tensor. */
export type Draw = 'signs' | 'binomial' | 'lowrank';
/** What becomes of the sum. */
export type End = 'apply' | 'pair';

/** Words of `Params` below, in order. */
export const PARAMS = ['n', 'rows', 'columns', 'count', 'exponent'] as const;

/** Rows of a low-rank tile: they share a block of 128 signs. */
const TILE_ROWS = 16;
/** Elements of a dense tile. */
const TILE = 4 * THREADS;

/** Workgroups that cover a tensor. */
export const tilesOf = (draw: Draw, n: number, rows: number, columns: number): number =>
  draw === 'lowrank' ? Math.ceil(rows / TILE_ROWS) * Math.ceil(columns / THREADS) : Math.ceil(n / TILE);

const HEAD = /* wgsl */ `${NOISE}
struct Params {
  ${PARAMS.map((name) => `${name}: ${name === 'exponent' ? 'i32' : 'u32'},`).join('\n  ')}
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> entries: array<Entry>;
@group(0) @binding(2) var<storage, read_write> q: array<i32>;

var<workgroup> words: array<vec4<u32>, ${THREADS}>;
`;

const ENDS: Readonly<Record<End, string>> = {
  apply: /* wgsl */ `
fn end(i: u32, sum: i32) {
  q[i] += sum;
}`,
  // What a multiple of the step is in f32 comes from a table: a product here might be fused with the addition.
  pair: /* wgsl */ `
@group(0) @binding(3) var<storage, read> steps: array<f32>;
@group(0) @binding(4) var<storage, read_write> plus: array<f32>;
@group(0) @binding(5) var<storage, read_write> other: array<f32>;
fn end(i: u32, sum: i32) {
  let w = bitcast<f32>(weight(q[i], p.exponent));
  let d = select(steps[abs(sum)], -steps[abs(sum)], sum < 0);
  plus[i] = w + d;
  other[i] = w - d;
}`,
};

/** Dense noise of which a block serves `size` elements. @param z WGSL of element e of a block of words w. */
const dense = (size: number, stream: number, z: string): string => {
  const blocks = TILE / size;
  const terms = THREADS / blocks;
  return /* wgsl */ `
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) j: u32,
) {
  let tile = group.y * groups.x + group.x;
  var sum: array<i32, 4>;
  for (var first = 0u; first < p.count; first += ${terms}u) {
    let mine = first + j / ${blocks}u;
    if (mine < p.count) {
      words[j] = philox(entries[mine], ${stream}u, tile * ${blocks}u + j % ${blocks}u);
    }
    workgroupBarrier();
    for (var t = 0u; t < min(${terms}u, p.count - first); t++) {
      let c = entries[first + t].c;
      for (var k = 0u; k < 4u; k++) {
        let at = k * ${THREADS}u + j;
        let w = words[t * ${blocks}u + at / ${size}u];
        let e = at % ${size}u;
        sum[k] += ${z};
      }
    }
    workgroupBarrier();
  }
  for (var k = 0u; k < 4u; k++) {
    let i = tile * ${TILE}u + k * ${THREADS}u + j;
    if (i < p.n) {
      end(i, sum[k]);
    }
  }
}`;
};

/** Entries are outer products here; half of the invocations draw a block of u, the others one of v. */
const HALF = THREADS / 2;
const lowRank = /* wgsl */ `
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) j: u32,
) {
  let tile = group.y * groups.x + group.x;
  let across = (p.columns + ${THREADS - 1}u) / ${THREADS}u;
  let row = tile / across * ${TILE_ROWS}u;
  let block = tile % across;
  var sum: array<i32, ${TILE_ROWS}>;
  for (var first = 0u; first < p.count; first += ${HALF}u) {
    let mine = first + j % ${HALF}u;
    if (mine < p.count) {
      let isRow = j < ${HALF}u;
      words[j] = philox(entries[mine], select(${V_STREAM}u, ${U_STREAM}u, isRow), select(block, row / 128u, isRow));
    }
    workgroupBarrier();
    for (var t = 0u; t < min(${HALF}u, p.count - first); t++) {
      let c = entries[first + t].c;
      let v = minus(words[${HALF}u + t], j);
      let u = words[t];
      for (var r = 0u; r < ${TILE_ROWS}u; r++) {
        sum[r] += select(c, -c, minus(u, (row + r) % 128u) != v);
      }
    }
    workgroupBarrier();
  }
  let column = block * ${THREADS}u + j;
  for (var r = 0u; r < ${TILE_ROWS}u; r++) {
    if (column < p.columns && row + r < p.rows) {
      end((row + r) * p.columns + column, sum[r]);
    }
  }
}`;

const SUMS: Readonly<Record<Draw, string>> = {
  signs: dense(128, DENSE_STREAM, 'select(c, -c, minus(w, e) == 1u)'),
  binomial: dense(
    8,
    BINOMIAL_STREAM,
    'c * (bitcast<i32>(countOneBits((w[e & 3u] >> select(0u, 16u, e >= 4u)) & 0xffffu)) - 8)',
  ),
  lowrank: lowRank,
};

export const sumShader = (draw: Draw, end: End): string => `${HEAD}${ENDS[end]}${SUMS[draw]}`;
