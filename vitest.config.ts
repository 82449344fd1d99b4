import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // One more than the cores of a small machine: tests of whole swarms wait most of the time.
    maxWorkers: 3,
    reporters: ['default', './scripts/count-reporter.mjs'],
  },
});
