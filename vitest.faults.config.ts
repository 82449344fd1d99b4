import { defineConfig } from 'vitest/config';

/** For `npm run study:faults`: scenarios in order, one at a time. */
export default defineConfig({
  test: { include: ['test/faults/study.ts'], maxWorkers: 1, reporters: ['verbose'], hideSkippedTests: true },
});
