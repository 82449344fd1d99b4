/** `--resume_from_checkpoint`: a run goes on to the bits of one that was never interrupted, or says why not. */
import { copyFileSync, cpSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { atRound, type Place, place, RUNNABLE, resultOf, type Settings, textIn } from './run.ts';

const LONG = { timeout: 300_000 };

/** The run's name is in its noise, and the coordinator's key in its name: with one key, two folders hold one run. */
function sameKey(from: string, to: string): void {
  mkdirSync(to);
  copyFileSync(join(from, 'coordinator.key'), join(to, 'coordinator.key'));
  cpSync(join(from, 'peers'), join(to, 'peers'), { recursive: true });
}

/** Begins a run, interrupts it after some rounds, and takes its folder, its model and its data to places of other names. */
async function interrupted(at: Place, settings: Settings, event: string, rounds: number): Promise<Settings> {
  const cut = join(at.folder, 'cut');
  const first = at.host({ ...settings, output_dir: cut });
  await first.waitFor(atRound(event, rounds));
  first.kill('SIGINT');
  expect((await first.exit()).done).toMatchObject({ error: { code: 'INTERRUPTED' } });
  const moved = { model: join(at.folder, 'other-model'), data: join(at.folder, 'other-data') };
  cpSync('assets/quill', moved.model, { recursive: true });
  copyFileSync(join(at.folder, 'train.jsonl'), `${moved.data}.jsonl`);
  renameSync(cut, join(at.folder, 'moved'));
  return { ...settings, model: moved.model, data: `${moved.data}.jsonl` };
}

const fault = async (at: Place, settings: Settings): Promise<unknown> =>
  (await at.host(settings).exit()).done?.['error'];

describe.skipIf(!RUNNABLE)('resume_from_checkpoint (npm run build makes the processes)', () => {
  test('bytes: elsewhere, from a checkpoint; what is missing, damaged or of another run is refused', LONG, async () => {
    const at = place();
    const settings: Settings = { peers: 1, per_device_train_batch_size: 4, max_steps: 24, save_steps: 4 };
    const { digest } = await resultOf(at.host(settings));
    sameKey(at.out, join(at.folder, 'cut'));
    const moved = await interrupted(at, settings, 'round', 6);
    const folder = join(at.folder, 'moved');
    const from = (name: string): Settings => ({ ...moved, output_dir: folder, resume_from_checkpoint: name });
    const rounds = readdirSync(folder).flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? []);
    const checkpoint = join(folder, `checkpoint-${Math.max(...rounds.map(Number))}`);

    expect(await fault(at, from(join(folder, 'checkpoint-1')))).toMatchObject({
      code: 'FILE_MISSING',
      message: expect.stringMatching(/checkpoint-1 is not there; name .*checkpoint-\d+$/),
    });
    expect(await fault(at, { ...from('true'), output_dir: join(at.folder, 'none') })).toMatchObject({
      code: 'FILE_MISSING',
      message: expect.stringMatching(/holds no run to resume.*leave --resume_from_checkpoint out/),
    });
    expect(await fault(at, from(at.out))).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/copy the folder/),
    });
    expect(await fault(at, { ...from(checkpoint), eps: 0.01 })).toMatchObject({
      code: 'OUTPUT_EXISTS',
      message: expect.stringMatching(/another eps/),
    });
    const kept = join(at.folder, 'kept');
    renameSync(checkpoint, kept);
    cpSync(join(at.out, 'checkpoint-24'), checkpoint, { recursive: true });
    expect(await fault(at, from('true'))).toMatchObject({
      code: 'CHECKPOINT_WRONG',
      message: expect.stringMatching(/damaged or of another run.*delete it, and the journal rebuilds it/),
    });
    cpSync(join(at.out, 'checkpoint-24'), join(folder, 'checkpoint-24'), { recursive: true });
    expect(await fault(at, from(join(folder, 'checkpoint-24')))).toMatchObject({
      code: 'CHECKPOINT_WRONG',
      message: expect.stringMatching(/no digest of round 24/),
    });
    for (const name of [checkpoint, join(folder, 'checkpoint-24')]) rmSync(name, { recursive: true });
    renameSync(kept, checkpoint);

    expect(await resultOf(at.host(from(`${checkpoint}/`)))).toMatchObject({ digest, rounds: 24 });
  });

  test('a gradient on one machine: from the folder, elsewhere; without a state it is refused', LONG, async () => {
    const at = place();
    const settings: Settings = { method: 'backprop', per_device_train_batch_size: 4, max_steps: 12, save_steps: 4 };
    const { digest } = await resultOf(at.host(settings));
    const moved = await interrupted(at, settings, 'round', 2);
    const folder = join(at.folder, 'moved');
    expect(
      await fault(at, { ...moved, output_dir: join(at.folder, 'none'), resume_from_checkpoint: 'true' }),
    ).toMatchObject({
      code: 'FILE_MISSING',
      message: expect.stringMatching(/holds no training\.state to resume/),
    });
    expect(
      await fault(at, { ...moved, output_dir: folder, resume_from_checkpoint: join(folder, 'checkpoint-2') }),
    ).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/no checkpoint-2; name the folder/),
    });
    expect(await resultOf(at.host({ ...moved, output_dir: folder, resume_from_checkpoint: folder }))).toMatchObject({
      digest,
      rounds: 12,
    });
  });

  test('vectors: diloco goes on with the momentum of its merges', LONG, async () => {
    const at = place((folder) => {
      const settings = textIn(folder);
      copyFileSync(String(settings['data']), join(folder, 'train.jsonl')); // as `interrupted` takes it along
      return settings;
    });
    const settings: Settings = { method: 'diloco', peers: 1, inner_steps: 2, max_steps: 10, save_steps: 4 };
    // What a peer remembers of a run is in its cache: two runs of one name must not share it.
    const apart = { env: { XDG_CACHE_HOME: join(at.folder, 'apart') } };
    const { digest } = await resultOf(at.host(settings, apart));
    sameKey(at.out, join(at.folder, 'cut'));
    const cut = await interrupted(at, settings, 'merge', 2);
    const data = join(at.folder, 'other.txt');
    renameSync(String(cut['data']), data);
    const folder = join(at.folder, 'moved');
    const resume = { ...cut, data, output_dir: folder, resume_from_checkpoint: 'true' };
    expect(await resultOf(at.host(resume))).toMatchObject({ digest, rounds: 5 });
  });
});
