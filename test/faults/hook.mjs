/**
 * Loaded into a process before everything else (`NODE_OPTIONS=--import`): a disk that fills up, and a death at one
 * chosen call. MURMUR_FAULT is JSON, see `FilePoint` of points.ts.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename } from 'node:path';
import { isMainThread } from 'node:worker_threads';

const { file: wanted, call, nth, what } = JSON.parse(process.env.MURMUR_FAULT ?? '{}');
let calls = 0;
let full = false;

const die = () => {
  process.kill(process.pid, 'SIGKILL');
  return new Promise(() => undefined); // not one step more until it strikes
};
const noSpace = () => Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });

const ACTIONS = {
  'die before': die,
  'die after': async (act) => {
    await act();
    return die();
  },
  /** As a power cut may leave it: of what was written since the last sync, half is there. */
  'lose power': async (_, handle, synced) => {
    const { size } = await handle.stat();
    await handle.truncate(synced + ((size - synced) >> 1));
    return die();
  },
  /** Half of it still fits. Nothing does after that. */
  'fill up': async (_, __, ___, half) => {
    full = true;
    await half();
    throw noSpace();
  },
};

if (isMainThread && wanted) {
  const { open } = fs.promises;
  fs.promises.open = async (path, ...rest) => {
    const handle = await open(path, ...rest);
    const isIt = basename(String(path)) === wanted;
    let { size: synced } = await handle.stat();
    const wrap = (name, half) => {
      const act = handle[name].bind(handle);
      handle[name] = async (...args) => {
        const growing = ['write', 'writeFile', 'appendFile'].includes(name);
        if (full && growing) throw noSpace();
        if (isIt && name === call && ++calls === nth)
          return ACTIONS[what](
            () => act(...args),
            handle,
            synced,
            () => half(act, args),
          );
        const result = await act(...args);
        if (name === 'sync' || name === 'datasync') ({ size: synced } = await handle.stat());
        return result;
      };
    };
    const halfOf = (bytes) => bytes.subarray(0, bytes.length >> 1);
    wrap('write', (act, [bytes, from, length, at]) => act(bytes, from, length >> 1, at));
    for (const name of ['writeFile', 'appendFile']) wrap(name, (act, [bytes]) => act(halfOf(Buffer.from(bytes))));
    for (const name of ['sync', 'datasync', 'truncate']) wrap(name);
    return handle;
  };
  syncBuiltinESMExports();
}
