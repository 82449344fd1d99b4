/**
 * A WebGPU adapter for tests: the machine's own, or the software one that Debian's Chromium brings. Dawn and ONNX
 * Runtime both look for drivers when they are first asked for an adapter, and by then see the variable set here.
 *
 * @module
 */
import { existsSync } from 'node:fs';

const SOFTWARE = '/usr/lib/chromium/vk_swiftshader_icd.json';
if (existsSync(SOFTWARE)) process.env['VK_ICD_FILENAMES'] ??= SOFTWARE;

/** Dawn, where its native library loads. Exported so that it is never collected: it must outlive its devices. */
export const gpu: GPU | undefined = await import('webgpu').then(
  ({ create }) => create([]),
  () => undefined,
);

export const adapter: GPUAdapter | null = (await gpu?.requestAdapter()) ?? null;

/** Ends the names of tests that are skipped without an adapter. */
export const unless: string = adapter
  ? ''
  : ' (skipped: no WebGPU adapter; apt-get install chromium libvulkan1 brings one in software)';
