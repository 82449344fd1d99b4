/**
 * What tells two runs apart: what their files hold, not what these are called or where they lie. A run goes on on
 * another machine, where its base may be in a folder of another name.
 *
 * @module
 */
import type { BlobRef, Manifest } from '../nouns.ts';

const content = ({ bytes, sha256 }: BlobRef): object => ({ bytes, sha256 });

/** A manifest without the names of its base, its data and its reward. */
export function nameless<M extends Pick<Manifest, 'base' | 'data' | 'objective'>>(manifest: M): object {
  const { base, data, objective, ...rest } = manifest;
  const { train, eval: held, ...cut } = data;
  return {
    ...rest,
    ...(objective === undefined
      ? {}
      : { objective: typeof objective === 'string' ? objective : content(objective.reward) }),
    base: base.files,
    data: { ...cut, train: content(train), ...(held ? { eval: content(held) } : {}) },
  };
}
