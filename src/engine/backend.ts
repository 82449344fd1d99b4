/**
 * What a browser computes with: a GPU through WebGPU, or WebAssembly on its threads.
 *
 * @module
 */
export type Backend = 'webgpu' | 'wasm';
