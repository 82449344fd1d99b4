import { defineConfig } from 'vitest/config';

/** For `npm run study:nats`: one death after the other. */
export default defineConfig({
  test: { include: ['test/nats/pauses.ts'], maxWorkers: 1, reporters: ['verbose'] },
});
