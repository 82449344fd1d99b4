import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { expectOneDigest, journalOf, linkOf, place, RUNNABLE, resultOf } from './run.ts';

const LONG = { timeout: 300_000 };

describe.skipIf(!RUNNABLE)('adapters (npm run build makes the processes)', () => {
  test.each(['lora', 'prefix'])(
    '%s: four peers end with one digest, one of them with nothing but the link',
    LONG,
    async (adapter) => {
      const at = place();
      const settings = { peers: 0, min_peers: 4, per_device_train_batch_size: 2, max_steps: 8, adapter, eps: 1e-2 };
      const host = at.host({ ...settings, learning_rate: 1e-2 });
      const link = await linkOf(host);
      const peers = ['one', 'two', 'three'].map((name) => at.join(link, name));
      peers.push(at.join(link, 'four', { files: false }));
      const digest = await expectOneDigest(at, host, peers);

      const files = journalOf(at.out).ledger.manifest.base.files.map(({ path }) => path);
      const own = files.filter((path) => path.startsWith('adapter_')).sort();
      expect(own).toEqual(adapter === 'prefix' ? ['adapter_config.json', 'adapter_model.safetensors'] : []);
      expect(await resultOf(at.run('replay', at.out, '--rounds', '0'))).not.toMatchObject({ digest });

      // What is exported is where the next run may start from.
      const folder = join(at.folder, 'exported');
      await resultOf(at.run('export', at.out, '--output_dir', folder));
      expect(readdirSync(folder).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
      const next = at.host({
        ...settings,
        ...{ peers: 1, min_peers: 1, max_steps: 1, adapter_folder: folder, output_dir: join(at.folder, 'next') },
      });
      await resultOf(next);
      const begun = join(at.folder, 'begun');
      await resultOf(at.run('export', join(at.folder, 'next'), '--rounds', '0', '--output_dir', begun));
      const bytes = (from: string) => readFileSync(join(from, 'adapter_model.safetensors'));
      expect(bytes(begun).equals(bytes(folder))).toBe(true);
    },
  );
});
